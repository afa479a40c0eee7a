// A reply that takes some computing and no engine: done at once where it is short, else by the worker pool,
// with a place in the queue like any call.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/admission.h"
#include "server/http_message.h"
#include "server/worker_pool.h"

namespace quire {

struct WorkContext {
  std::string client;
  Clock::time_point deadline = Clock::time_point::max();  // 504 for what has not been done by then
  Admission* admission = nullptr;
  WorkerPool* workers = nullptr;
};

class WorkReply : public Reply {
 public:
  // `work` returns the JSON body, or throws ApiError. It must own what it uses. Throws ApiError 429 when
  // there is no place for long work.
  WorkReply(std::function<std::string()> work, bool is_long, const WorkContext& context, Waker wake);
  ReplyOutput poll() override;

 private:
  struct Outcome;
  std::shared_ptr<Outcome> outcome_;
  Clock::time_point deadline_;
  Admission::Ticket ticket_;
  WorkerPool::Place place_;
};

}  // namespace quire
