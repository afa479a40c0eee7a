// Threads for work that would keep a connection's thread too long: parsing and tokenising long prompts.
#pragma once

#include <functional>
#include <memory>

namespace quire {

class WorkerPool {
 public:
  explicit WorkerPool(int num_threads);
  ~WorkerPool();
  void stop();  // waits for work that has begun; what has not is dropped. Once or several times
  void post(std::function<void()> work);

 private:
  struct Threads;
  std::unique_ptr<Threads> threads_;
};

}  // namespace quire
