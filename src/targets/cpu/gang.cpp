#include "targets/cpu/gang.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <system_error>
#include <thread>

#include "base/check.h"

namespace quire {
namespace {

// Spins until done() is true, for about 200 us; false if it did not become true.
template <class Done>
bool spin_until(const Done& done) {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    if (std::chrono::steady_clock::now() - start > std::chrono::microseconds(200)) return false;
  }
}

}  // namespace

Gang::Gang(int num_threads)
    : num_threads_(num_threads),
      workers_(std::make_unique<Worker[]>(static_cast<std::size_t>(num_threads))),
      guard_(boost::asio::make_work_guard(context_)) {
  threads_.reserve(static_cast<std::size_t>(num_threads));
  try {
    for (int i = 1; i < num_threads; ++i) threads_.emplace_back([this] { context_.run(); });
  } catch (const std::system_error& error) {
    end_threads();
    throw_error(ErrorKind::kExhausted, "cannot start thread {} of {} for computing: {}", threads_.size() + 1,
                num_threads - 1, error.what());
  }
}

Gang::~Gang() { end_threads(); }

void Gang::end_threads() {
  guard_.reset();
  for (std::thread& thread : threads_) thread.join();
}

void Gang::run(int num_programs, const std::function<void(int)>& job) {
  if (num_programs > num_threads_) num_programs = num_threads_;
  job_ = &job;
  num_running_.store(num_programs - 1, std::memory_order_relaxed);
  for (int w = 1; w < num_programs; ++w) {
    State expected = State::kSpinning;
    if (workers_[w].state.compare_exchange_strong(expected, State::kCalled, std::memory_order_acq_rel))
      continue;
    workers_[w].state.store(State::kCalled, std::memory_order_release);
    boost::asio::post(context_, [this, w] { work(w); });
  }
  job(0);
  // Threads that have not begun yet are called off: the system may be running something else in their place.
  for (int w = 1; w < num_programs; ++w) {
    State expected = State::kCalled;
    if (workers_[w].state.compare_exchange_strong(expected, State::kSpinning, std::memory_order_acq_rel))
      --num_running_;
  }
  if (spin_until([&] { return num_running_.load(std::memory_order_acquire) == 0; })) return;
  // Waits on the value that was tested: a second load might return 0, and waiting on 0 would never end.
  for (int running; (running = num_running_.load(std::memory_order_acquire)) != 0;) {
    num_running_.wait(running, std::memory_order_acquire);
  }
}

void Gang::work(int worker) {
  std::atomic<State>& state = workers_[worker].state;
  for (;;) {
    if (!spin_until([&] { return state.load(std::memory_order_acquire) == State::kCalled; })) {
      State expected = State::kSpinning;
      if (state.compare_exchange_strong(expected, State::kIdle, std::memory_order_acq_rel)) return;
    }
    State expected = State::kCalled;
    if (!state.compare_exchange_strong(expected, State::kWorking, std::memory_order_acq_rel)) continue;
    (*job_)(worker);
    state.store(State::kSpinning, std::memory_order_release);
    if (num_running_.fetch_sub(1, std::memory_order_acq_rel) == 1) num_running_.notify_one();
  }
}

}  // namespace quire
