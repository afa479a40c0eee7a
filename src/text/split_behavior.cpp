#include "text/split_behavior.h"

#include <algorithm>

namespace quire {
namespace {

struct Part {
  Span span;
  bool is_delimiter;
};

// Parts that cover `whole` without gaps. An empty delimiter stays: it keeps its neighbours from being joined.
std::vector<Part> cover(Span whole, const std::vector<Span>& delimiters, bool invert) {
  std::vector<Part> parts;
  parts.reserve(2 * delimiters.size() + 1);
  std::size_t at = whole.begin;
  for (const Span& delimiter : delimiters) {
    if (at < delimiter.begin) parts.push_back({{at, delimiter.begin}, invert});
    parts.push_back({delimiter, !invert});
    at = delimiter.end;
  }
  if (at < whole.end) parts.push_back({{at, whole.end}, invert});
  return parts;
}

// Joins parts with their predecessor where `joins(part, was_delimiter)` says so.
template <class Joins>
std::vector<Part> join_parts(const std::vector<Part>& parts, Joins joins) {
  std::vector<Part> joined;
  bool was_delimiter = false;
  for (const Part& part : parts) {
    if (!joined.empty() && joins(part, was_delimiter)) {
      Span& last = joined.back().span;
      last = {std::min(last.begin, part.span.begin), std::max(last.end, part.span.end)};
    } else {
      joined.push_back(part);
    }
    was_delimiter = part.is_delimiter;
  }
  return joined;
}

std::vector<Part> apply_behavior(std::vector<Part> parts, SplitBehavior behavior) {
  const auto is_first_delimiter = [](const Part& part, bool was_delimiter) {
    return part.is_delimiter && !was_delimiter;
  };
  switch (behavior) {
    case SplitBehavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.is_delimiter; });
      return parts;
    case SplitBehavior::kIsolated:
      return parts;
    case SplitBehavior::kContiguous:
      return join_parts(parts, [](const Part& part, bool was) { return part.is_delimiter == was; });
    case SplitBehavior::kMergedWithPrevious:
      return join_parts(parts, is_first_delimiter);
    case SplitBehavior::kMergedWithNext:
      std::reverse(parts.begin(), parts.end());
      parts = join_parts(parts, is_first_delimiter);
      std::reverse(parts.begin(), parts.end());
      return parts;
  }
  return parts;
}

}  // namespace

SplitBehavior parse_split_behavior(const JsonField& field) {
  const std::string& name = field.as_string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  field.unsupported("this behavior is not known");
}

void split_at(Span whole, const std::vector<Span>& delimiters, SplitBehavior behavior, bool invert,
              std::vector<Span>& pieces) {
  for (const Part& part : apply_behavior(cover(whole, delimiters, invert), behavior)) {
    if (part.span.begin < part.span.end) pieces.push_back(part.span);
  }
}

}  // namespace quire
