// Runs a StepEngine on a thread of its own and gives every request a stream. Callers leave orders in a
// mailbox; the thread takes them between two steps. Streams may outlive the engine: they end with kAbort.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/output_queue.h"
#include "engine/step_engine.h"

namespace quire {

// Seconds that the launches since the last call need at the device's ceilings. Called on the engine's thread.
using StepBound = std::function<double()>;
using SnapshotCallback = std::function<void(EngineSnapshot)>;

class AsyncEngine {
 public:
  // At most `max_num_requests` live at the same time, waiting ones included. `step_bound` may be empty.
  AsyncEngine(std::unique_ptr<StepEngine> engine, int max_num_requests, StepBound step_bound = {});
  ~AsyncEngine();
  AsyncEngine(const AsyncEngine&) = delete;
  AsyncEngine& operator=(const AsyncEngine&) = delete;

  // Throws kInvalidArgument, kExhausted (too many requests), kInternal (the engine has failed, with the
  // reason).
  RequestStream submit(std::vector<std::int32_t> prompt, const SamplingParams& params,
                       OutputCallback callback = {});

  EngineStats stats() const;  // as of the last step

  // Between two steps, on the engine's thread; not at all when the engine has ended.
  void request_snapshot(SnapshotCallback callback);

 private:
  using Clock = std::chrono::steady_clock;
  struct Submission {
    std::shared_ptr<OutputQueue> queue;
    std::vector<std::int32_t> prompt;
    SamplingParams params;
    Clock::time_point arrival;
  };
  struct Live {
    std::shared_ptr<OutputQueue> queue;
    Clock::time_point arrival;
    double queue_s = 0;
    double first_token_s = 0;
  };
  struct Mailbox {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Submission> submissions;
    bool has_cancellations = false;  // which ones their queues say: to cancel needs no memory
    std::vector<SnapshotCallback> snapshots;
    bool is_closing = false;
    std::string failure;  // why the engine takes no more requests
    int num_live = 0;
    RequestId next_id = 1;
    EngineStats stats;
  };
  struct Orders {
    std::vector<Submission> submissions;
    bool has_cancellations = false;
    std::vector<SnapshotCallback> snapshots;
  };

  void drive();
  void step();
  void serve_snapshots(Orders& orders);
  bool take_orders(Orders& orders);
  void enter(Submission& submission);
  void start(Submission& submission);
  void cancel_abandoned();
  void deliver(RequestId id, RequestOutput output);
  void end(OutputQueue& queue, FinishReason reason, const std::string& error) noexcept;
  void end_all(Orders& orders, FinishReason reason, const std::string& error) noexcept;
  void publish_stats();

  std::unique_ptr<StepEngine> engine_;
  const int max_num_requests_;
  std::shared_ptr<Mailbox> mailbox_;
  // The driver's thread only:
  std::unordered_map<RequestId, Live> streams_;
  std::deque<StepRecord> steps_;  // the last ones
  StepBound step_bound_;
  double step_time_s_ = 0, step_bound_s_ = 0;

  std::thread thread_;
};

}  // namespace quire
