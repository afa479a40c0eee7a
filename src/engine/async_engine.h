// Runs a StepEngine on a thread of its own and gives every request a stream. Callers leave orders in a
// mailbox; the thread takes them between two steps. Streams may outlive the engine: they end with kAbort.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/output_queue.h"
#include "engine/step_engine.h"

namespace quire {

class AsyncEngine {
 public:
  // At most `max_num_requests` live at the same time, waiting ones included.
  AsyncEngine(std::unique_ptr<StepEngine> engine, int max_num_requests);
  ~AsyncEngine();
  AsyncEngine(const AsyncEngine&) = delete;
  AsyncEngine& operator=(const AsyncEngine&) = delete;

  // Throws kInvalidArgument, kExhausted (too many requests), kInternal (the engine has failed, with the
  // reason).
  RequestStream submit(std::vector<std::int32_t> prompt, const SamplingParams& params,
                       OutputCallback callback = {});

  EngineStats stats() const;  // as of the last step

 private:
  struct Submission {
    std::shared_ptr<OutputQueue> queue;
    std::vector<std::int32_t> prompt;
    SamplingParams params;
  };
  struct Mailbox {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Submission> submissions;
    std::vector<RequestId> cancellations;
    bool is_closing = false;
    std::string failure;  // why the engine takes no more requests
    int num_live = 0;
    RequestId next_id = 1;
    EngineStats stats;
  };
  struct Orders {
    std::vector<Submission> submissions;
    std::vector<RequestId> cancellations;
  };

  void drive();
  bool take_orders(Orders& orders);
  void start(Submission& submission);
  void cancel(RequestId id);
  void deliver(RequestId id, RequestOutput output);
  void end_all(FinishReason reason, const std::string& error);
  void publish_stats();

  std::unique_ptr<StepEngine> engine_;
  const int max_num_requests_;
  std::shared_ptr<Mailbox> mailbox_;
  std::unordered_map<RequestId, std::shared_ptr<OutputQueue>> streams_;  // the driver's thread only
  std::thread thread_;
};

}  // namespace quire
