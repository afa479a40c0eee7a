// What an engine looks like between two steps, page by page. For people who watch.
#pragma once

#include <cstdint>
#include <vector>

#include "quire/stats.h"

namespace quire {

// What one step computed, in tokens; the kinds are those of EngineStats.
struct StepRecord {
  std::int32_t num_decode_tokens = 0;
  std::int32_t num_extend_tokens = 0;
  std::int32_t num_prefill_tokens = 0;
  std::int64_t time_us = 0;
};

// Owners of pages that no single request holds; a page shared by n requests has the owner -n.
inline constexpr std::int64_t kFreePage = -1;
inline constexpr std::int64_t kCachedPage = 0;  // free, and still holds a prefix that a request may find

struct EngineSnapshot {
  std::int32_t page_size = 0;             // tokens
  std::vector<std::int64_t> page_owners;  // [num_pages]: id of the request, or one of the above
  std::vector<StepRecord> steps;          // the last ones, oldest first
  EngineStats stats;
};

}  // namespace quire
