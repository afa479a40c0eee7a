// Counters and gauges of an engine. Counters only grow.
#pragma once

#include <array>
#include <cstdint>

namespace quire {

// Bounds of EngineStats::steps_by_tokens; one more entry counts the steps above the last.
inline constexpr std::array<std::int64_t, 13> kStepTokenBounds = {1,   8,   16,   32,   64,   128,  256,
                                                                  512, 1024, 2048, 4096, 8192, 16384};

struct EngineStats {
  // gauges
  std::int64_t num_running = 0;
  std::int64_t num_waiting = 0;
  std::int64_t num_pages = 0;         // that requests can hold
  std::int64_t num_held_pages = 0;    // held by at least one request
  double kv_usage = 0.0;              // num_held_pages / num_pages
  std::int64_t num_unused_slots = 0;  // token slots of held pages that hold no token
  double step_time_target_s = 0;      // see EngineOptions::step_time_target_ms
  double prompt_token_s = 0;          // what a prompt token takes beyond the decodes of its step; 0 unknown
  bool has_failed = false;            // the engine's thread has ended with an error: no request can run
  // counters
  std::int64_t num_steps = 0;
  std::int64_t num_decode_tokens = 0;   // computed in steps: one token behind others that are computed,
  std::int64_t num_extend_tokens = 0;   // several such tokens,
  std::int64_t num_prefill_tokens = 0;  // tokens from a sequence's beginning on
  std::array<std::int64_t, kStepTokenBounds.size() + 1> steps_by_tokens = {};  // steps of at most so many tokens
  double step_time_s = 0;   // in steps
  double step_bound_s = 0;  // the time that the launches of these steps need at the device's ceilings; 0 unknown
  std::int64_t num_limited_steps = 0;  // in which prompts got less, so that answers go on in time
  std::int64_t num_preemptions = 0;
  std::int64_t num_prompt_tokens = 0;  // of requests admitted
  std::int64_t num_generation_tokens = 0;
  std::int64_t prefix_query_tokens = 0;  // looked up in the prefix cache
  std::int64_t prefix_hit_tokens = 0;    // found there
  std::int64_t num_stopped = 0;          // requests by their end: kStop, kLength, kAbort, kError
  std::int64_t num_length_limited = 0;
  std::int64_t num_aborted = 0;
  std::int64_t num_failed = 0;
  std::int64_t num_corrupted = 0;  // of those failed: logits that were not finite
  std::int64_t num_repairs = 0;    // idle checks that found pages lost and took them back
};

}  // namespace quire
