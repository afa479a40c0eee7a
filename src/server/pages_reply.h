// GET /v1/internal/pages: what the live page draws. One JSON object, as of one moment between two steps:
//   {"num_pages":N,"page_size":P,
//    "owners":[…],   one number a page: id of the request (>= 1) that holds it; -n when n requests share it
//    (n >= 2);
//                    -1 free; 0 free, and still holding a cached prefix
//    "steps":[{"decode":d,"extend":e,"prefill":p,"time_us":t},…],   the last ones, oldest first, in tokens
//    "running":n,"waiting":m,"generation_tokens":total,"prompt_tokens":total,"time":unix seconds}
#pragma once

#include <memory>

#include "quire/quire.h"
#include "server/http_message.h"

namespace quire {

std::string pages_json(const EngineSnapshot& snapshot, double unix_time_s);

class PagesReply : public Reply {
 public:
  PagesReply(Engine& engine, Waker wake);
  ReplyOutput poll() override;

 private:
  struct Inbox;
  std::shared_ptr<Inbox> inbox_;
  Clock::time_point deadline_;
};

}  // namespace quire
