#include "engine/stop.h"

#include <algorithm>
#include <utility>

namespace quire {

FinishReason check_last_token(const Request& request) {
  // Before min_tokens the sampler does not let an end token happen.
  if (std::binary_search(request.end_tokens.begin(), request.end_tokens.end(), request.tokens.back())) {
    return FinishReason::kStop;
  }
  return request.num_tokens() >= request.max_len ? FinishReason::kLength : FinishReason::kNone;
}

StopStrings::StopStrings(std::vector<std::string> stops, bool is_match_kept)
    : stops_(std::move(stops)), is_match_kept_(is_match_kept) {}

std::string StopStrings::push(std::string_view text) {
  if (stops_.empty()) return std::string(text);
  if (!matched_.empty()) return {};
  const std::size_t old_bytes = pending_.size();
  pending_ += text;
  std::size_t match_end = std::string::npos;
  for (const std::string& stop : stops_) {
    // A match that ends in the old text would have been found before.
    const std::size_t from = old_bytes + 1 > stop.size() ? old_bytes + 1 - stop.size() : 0;
    const std::size_t begin = pending_.find(stop, from);
    if (begin == std::string::npos) continue;
    const std::size_t end = begin + stop.size();
    if (end < match_end || (end == match_end && stop.size() > matched_.size())) {
      match_end = end;
      matched_ = stop;
    }
  }
  std::string shown;
  if (match_end != std::string::npos) {
    shown = pending_.substr(0, match_end - (is_match_kept_ ? 0 : matched_.size()));
    pending_.clear();
    return shown;
  }
  shown = pending_.substr(0, pending_.size() - held_back_bytes());
  pending_.erase(0, shown.size());
  return shown;
}

std::string StopStrings::push_unchecked(std::string_view text) {
  std::string shown = std::move(pending_);
  pending_.clear();
  shown += text;
  return shown;
}

std::string StopStrings::finish() { return std::exchange(pending_, {}); }

// Longest tail of the pending text that a stop string begins with.
std::size_t StopStrings::held_back_bytes() const {
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t num_bytes = std::min(stop.size() - 1, pending_.size()); num_bytes > longest;
         --num_bytes) {
      if (pending_.compare(pending_.size() - num_bytes, num_bytes, stop, 0, num_bytes) == 0)
        longest = num_bytes;
    }
  }
  return longest;
}

}  // namespace quire
