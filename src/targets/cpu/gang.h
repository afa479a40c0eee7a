// Runs one function on several threads at a time and waits. Threads come from Boost.Asio's pool; between two runs they spin for a
// short while, because the launches of a decode step follow each other within microseconds.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>

namespace quire {

class Gang {
 public:
  explicit Gang(int num_threads);  // >= 1, the caller's included
  ~Gang();

  int num_threads() const { return num_threads_; }

  // Calls job(0) on the caller, and job(1 … num_programs - 1), each at most once, on threads that come before job(0) has returned: a
  // job does what there is to do, however many do it. Returns when all are done. Not reentrant.
  void run(int num_programs, const std::function<void(int)>& job);

 private:
  enum class State : int { kIdle, kSpinning, kCalled, kWorking };
  struct alignas(64) Worker {
    std::atomic<State> state{State::kIdle};
  };

  void work(int worker);

  const int num_threads_;
  const std::function<void(int)>* job_ = nullptr;
  std::atomic<int> num_running_{0};
  std::unique_ptr<Worker[]> workers_;
  boost::asio::thread_pool pool_;
};

}  // namespace quire
