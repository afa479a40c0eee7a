// One request inside the engine: its tokens, how many of them are computed, and the pages that hold the
// result.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/sampling_params.h"
#include "quire/output.h"

namespace quire {

using RequestId = std::uint64_t;

enum class RequestState : std::uint8_t { kWaiting, kRunning, kFinished };

struct Request {
  // What the scheduler reads in every step comes first, close together.
  std::vector<std::int32_t> tokens;  // prompt, then output
  std::int32_t last_token = 0;    // copy of tokens.back(), so that a decode step need not touch that memory
  std::int32_t computed_len = 0;  // tokens whose keys and values are in the cache
  std::int32_t runner_draws_from = std::numeric_limits<std::int32_t>::max();  // tokens; see runner_draws
  std::int32_t pending_row =
      -1;  // >= 0: the last token is not known yet, this logit row of the step under way draws it
  std::int32_t reserved_pages = 0;  // pages promised to the rest of the prompt and not taken yet
  SequencePages pages;
  RequestState state = RequestState::kWaiting;
  std::size_t running_idx = 0;  // place in the scheduler's running list, while kRunning

  std::int32_t prompt_len = 0;
  std::int32_t max_len = 0;      // tokens of prompt and output at which the request ends for its length
  std::int32_t cached_len = -1;  // prefix-cache hit at the first admission; -1 before
  std::int64_t arrival = 0;      // order of arrival
  std::int32_t logits_len =
      1;  // the logits behind so many of its last tokens are wanted: more than one to check drafts
  bool has_started = false;  // some of its tokens were in a step
  RequestId id = 0;
  std::uint64_t seed = 0;                // of this request's draws
  float draw_scale = 0.0f;               // see TokenDraw
  std::vector<std::int32_t> end_tokens;  // what ends the request, sorted: stop tokens, and eos unless ignored
  SamplingParams params;                 // checked

  void append(std::int32_t token) {
    tokens.push_back(token);
    last_token = token;
  }
  // A token that the step under way draws; a value stands for it until that step ends.
  void append_pending(std::int32_t row) {
    append(0);
    pending_row = row;
  }
  void drop_pending() {
    if (pending_row < 0) return;
    pending_row = -1;
    tokens.pop_back();
    last_token = tokens.back();
  }
  // The runner draws the next token: it follows from the logits alone, and nothing is reported of the others.
  bool runner_draws() const { return num_tokens() >= runner_draws_from; }
  std::int32_t known_len() const { return num_tokens() - (pending_row >= 0 ? 1 : 0); }
  std::int32_t num_tokens() const { return static_cast<std::int32_t>(tokens.size()); }
  std::int32_t output_len() const { return num_tokens() - prompt_len; }
  std::string_view cache_salt() const {
    return params.cache_salt ? std::string_view(*params.cache_salt) : "";
  }
};

// A step with thousands of requests, which are far apart in memory, would otherwise wait for these loads.
inline void prefetch_request(const Request* request) {
  __builtin_prefetch(request);
  __builtin_prefetch(reinterpret_cast<const char*>(request) + 64);
}

}  // namespace quire
