// A reply that takes some computing and no engine: done at once where it is short, else by the worker pool.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/http_message.h"
#include "server/worker_pool.h"

namespace quire {

class WorkReply : public Reply {
 public:
  // `work` returns the JSON body, or throws ApiError. It must own what it uses.
  WorkReply(std::function<std::string()> work, bool is_long, WorkerPool& workers, Waker wake);
  ReplyOutput poll() override;

 private:
  struct Outcome;
  std::shared_ptr<Outcome> outcome_;
};

}  // namespace quire
