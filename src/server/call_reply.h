// The reply to a completion or chat call, from its body to its last byte.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "server/admission.h"
#include "server/answer_format.h"
#include "server/answer_set.h"
#include "server/api_error.h"
#include "server/worker_pool.h"

namespace quire {

struct CallOptions {
  double request_timeout_s = 0;  // 0: none. A request may ask for less by the header X-Request-Timeout
  double first_token_timeout_s = 0;
  double queue_timeout_s = 600;                  // until the engine begins with some answer; 0: none
  double ping_s = 15;                            // silence in a stream before a comment goes out
  std::size_t max_pending_bytes = 1 << 20;       // text that a slow client may leave untaken
  std::size_t max_inline_body_bytes = 16 << 10;  // longer bodies are read by the worker pool
};

// What a call needs of its server; everything outlives the call.
struct CallContext {
  std::shared_ptr<const ServedModel> model;
  const CallOptions* options;
  Metrics* metrics;
  Admission* admission;
  WorkerPool* workers;
  const std::atomic<bool>* is_aborting;  // running answers end now
};

struct CallIdentity {
  std::string client;      // whose places the call takes
  std::string request_id;  // for people; nothing is looked up by it
  std::function<std::optional<std::string>(const std::optional<std::string>&)> cache_salt;
};

class CallReply : public Reply {
 public:
  // Throws ApiError when there is no room, before anything is parsed. Long bodies are prepared by the
  // workers, unless the reply is destroyed or late before they begin.
  CallReply(CallContext context, CallIdentity identity, CallKind kind, HttpRequest request, Waker wake);
  ReplyOutput poll() override;

 private:
  struct Preparation;

  ReplyOutput advance();
  void start();
  Clock::time_point next_deadline() const;
  void check_time(Clock::time_point now);
  void deliver(ReplyOutput& output);
  void ping(ReplyOutput& output, Clock::time_point now);
  ReplyOutput failure(const ApiError& error);

  CallContext context_;
  CallIdentity identity_;
  Waker wake_;
  Clock::time_point arrival_, deadline_, first_token_deadline_, queue_deadline_, last_sent_;
  std::shared_ptr<Preparation> preparation_;
  WorkerPool::Place place_;
  bool is_stream_ = false, has_head_ = false, is_cancelled_ = false;
  Admission::Ticket ticket_;
  std::optional<AnswerFormat> format_;
  std::unique_ptr<AnswerSet> answers_;
  std::size_t num_running_ = 0;  // answers that have not ended
};

}  // namespace quire
