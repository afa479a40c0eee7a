// Runs one function on several threads at a time and waits. Threads wait in Boost.Asio's scheduler; between
// two runs they spin for a short while, because the launches of a decode step follow each other within
// microseconds.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace quire {

class Gang {
 public:
  // `num_threads` >= 1, the caller's included. Throws Error{kExhausted} when the system gives no more
  // threads.
  explicit Gang(int num_threads);
  ~Gang();

  int num_threads() const { return num_threads_; }

  // Calls job(0) on this thread and job(i), for 0 < i < num_programs, on those other threads that start
  // before job(0) returns. Jobs must share the work among however many of them run. Returns when all calls
  // have returned. Not reentrant.
  void run(int num_programs, const std::function<void(int)>& job);

 private:
  enum class State : int { kIdle, kSpinning, kCalled, kWorking };
  struct alignas(64) Worker {
    std::atomic<State> state{State::kIdle};
  };

  void work(int worker);
  void end_threads();

  const int num_threads_;
  const std::function<void(int)>* job_ = nullptr;
  std::atomic<int> num_running_{0};
  std::unique_ptr<Worker[]> workers_;
  // Not boost::asio::thread_pool: if version 1.74 cannot start all of its threads, it waits for ever for
  // those that it has started.
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::vector<std::thread> threads_;
};

}  // namespace quire
