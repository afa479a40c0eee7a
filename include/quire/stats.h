// Counters and gauges of an engine. Counters only grow.
#pragma once

#include <cstdint>

namespace quire {

struct EngineStats {
  // gauges
  std::int64_t num_running = 0;
  std::int64_t num_waiting = 0;
  std::int64_t num_pages = 0;         // that requests can hold
  std::int64_t num_held_pages = 0;    // held by at least one request
  double kv_usage = 0.0;              // num_held_pages / num_pages
  std::int64_t num_unused_slots = 0;  // token slots of held pages that hold no token
  // counters
  std::int64_t num_steps = 0;
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
