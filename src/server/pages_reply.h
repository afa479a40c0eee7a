// GET /v1/internal/pages: what the live page draws. One JSON object, as of one moment between two steps:
//   {"num_pages":N,"page_size":P,
//    "owners":[…],   one number a page: id of the request (>= 1) that holds it; -n when n requests share it
//    (n >= 2);
//                    -1 free; 0 free, and still holding a cached prefix
//    "steps":[{"decode":d,"extend":e,"prefill":p,"time_us":t},…],   the last ones, oldest first, in tokens
//    "running":n,"waiting":m,"generation_tokens":total,"prompt_tokens":total,"time":unix seconds}
// All who ask share one text, so that the engine copies its list of pages a few times a second at most,
// whoever asks how often. While a step takes long they get the last text there is, whose "time" says how old
// it is.
#pragma once

#include <memory>
#include <string>

#include "quire/engine.h"
#include "server/http_message.h"

namespace quire {

std::string pages_json(const EngineSnapshot& snapshot, double unix_time_s);

// The last snapshot of one engine. Any thread may use it; callbacks of the engine may come when it has gone.
class PagesFeed {
 public:
  PagesFeed();

  // The text of a snapshot as of `since` or later; null when there is none.
  std::shared_ptr<const std::string> text(Clock::time_point since);

  // Asks for a new one, unless it is asked for already. `wake` is called when it is there; an engine that has
  // ended never calls.
  void ask(Engine& engine, Waker wake);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

class PagesReply : public Reply {
 public:
  // `feed` outlives it.
  PagesReply(PagesFeed& feed, Engine& engine, Waker wake);
  ReplyOutput poll() override;

 private:
  PagesFeed& feed_;
  Clock::time_point arrival_;
};

}  // namespace quire
