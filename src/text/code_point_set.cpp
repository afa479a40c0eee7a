#include "text/code_point_set.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "text/unicode_tables.h"

namespace quire {
namespace {

// Characters of the runs whose name `is_wanted` takes; names begin with a letter and hold no digits.
template <class IsWanted>
CodePointSet select(std::string_view runs, std::size_t name_len, IsWanted is_wanted) {
  CodePointSet set;
  char32_t begin = 0;
  for (std::size_t at = 0; at < runs.size();) {
    const std::string_view name = runs.substr(at, name_len);
    at += name_len;
    char32_t len = 0;
    for (; at < runs.size() && runs[at] >= '0' && runs[at] <= '9'; ++at) {
      len = len * 10 + static_cast<char32_t>(runs[at] - '0');
    }
    const char32_t end = begin + std::max<char32_t>(len, 1);
    if (is_wanted(name)) set.add(begin, end);
    begin = end;
  }
  return set;
}

std::string_view category_of(char letter) {
  return kCategoryNames[letter >= 'a' ? letter - 'a' : letter - 'A' + 26];
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

}  // namespace

CodePointSet::CodePointSet(std::initializer_list<Range> ranges) : ranges_(ranges) { normalize(); }

// Most callers add in order, which takes no sorting.
void CodePointSet::add(char32_t begin, char32_t end) {
  if (begin >= end) return;
  const bool is_next = ranges_.empty() || begin > ranges_.back().end;
  ranges_.push_back({begin, end});
  if (!is_next) normalize();
}

void CodePointSet::add(const CodePointSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalize();
}

void CodePointSet::normalize() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> joined;
  for (const Range& range : ranges_) {
    if (joined.empty() || range.begin > joined.back().end) {
      joined.push_back(range);
    } else {
      joined.back().end = std::max(joined.back().end, range.end);
    }
  }
  ranges_ = std::move(joined);
}

void CodePointSet::add_other_cases() {
  CodePointSet others;
  for (const CaseRun& run : case_runs()) {
    for (std::uint32_t i = 0; i < run.count; ++i) {
      const char32_t a = run.first + i * run.step, b = a + run.distance;
      if (contains(a)) others.ranges_.push_back({b, b + 1});
      if (contains(b)) others.ranges_.push_back({a, a + 1});
    }
  }
  add(others);
}

CodePointSet CodePointSet::complement() const {
  CodePointSet rest;
  char32_t begin = 0;
  for (const Range& range : ranges_) {
    if (begin < range.begin) rest.ranges_.push_back({begin, range.begin});
    begin = range.end;
  }
  if (begin < kEnd) rest.ranges_.push_back({begin, kEnd});
  return rest;
}

bool CodePointSet::contains(char32_t c) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                      [](char32_t value, const Range& range) { return value < range.begin; });
  return after != ranges_.begin() && c < std::prev(after)->end;
}

std::optional<CodePointSet> find_property(std::string_view name) {
  if (name.empty()) return std::nullopt;
  if (name.size() <= 2) {
    CodePointSet set = select(category_text(), 1, [name](std::string_view letter) {
      return category_of(letter[0]).starts_with(name);
    });
    return set.ranges().empty() ? std::nullopt : std::optional(std::move(set));
  }
  for (const ScriptName& script : script_names()) {
    if (script.name != name && script.code != name) continue;
    return select(script_text(), 4,
                  [&](std::string_view code) { return equal_ignoring_case(code, script.code); });
  }
  return std::nullopt;
}

}  // namespace quire
