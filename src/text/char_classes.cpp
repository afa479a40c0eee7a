#include "text/char_classes.h"

#include <algorithm>
#include <map>
#include <utility>

#include "text/utf8.h"

namespace quire {

CharClasses::CharClasses(const std::vector<CodePointSet>& sets) {
  refine({{U'\n', U'\n' + 1}});
  for (const CodePointSet& set : sets) {
    refine(set);
    are_few_ = num_classes_ <= kMaxClasses;
    if (!are_few_) return;
  }
  fill_blocks();
}

// Splits every class into what is in the set and what is not.
void CharClasses::refine(const CodePointSet& set) {
  std::vector<Run> refined;
  std::vector<std::int64_t> inside(num_classes_, -1), outside(num_classes_, -1);
  std::uint32_t num_classes = 0;
  const auto add = [&](char32_t begin, std::uint32_t old_class, bool is_inside) {
    std::int64_t& idx = (is_inside ? inside : outside)[old_class];
    if (idx < 0) idx = num_classes++;
    refined.push_back({begin, static_cast<std::uint32_t>(idx)});
  };
  const auto& ranges = set.ranges();
  auto range = ranges.begin();
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    char32_t at = runs_[i].begin;
    const char32_t end = i + 1 < runs_.size() ? runs_[i + 1].begin : CodePointSet::kEnd;
    while (at < end) {
      while (range != ranges.end() && range->end <= at) ++range;
      const bool is_inside = range != ranges.end() && range->begin <= at;
      add(at, runs_[i].class_idx, is_inside);
      const char32_t change = range == ranges.end() ? end : is_inside ? range->end : range->begin;
      at = std::min(end, change);
    }
  }
  runs_ = std::move(refined);
  num_classes_ = num_classes;
}

// A line feed is what ^ and $ look for, so its class is its own byte, and nobody else has that.
std::uint8_t CharClasses::byte_of(std::uint32_t class_idx) const {
  const auto line_feed = std::upper_bound(runs_.begin(), runs_.end(), U'\n',
                                          [](char32_t c, const Run& run) { return c < run.begin; });
  const std::uint32_t line_feed_class = std::prev(line_feed)->class_idx;
  if (class_idx == line_feed_class) return '\n';
  const std::uint32_t among_others = class_idx - (class_idx > line_feed_class ? 1 : 0);
  return static_cast<std::uint8_t>(among_others + (among_others >= '\n' ? 1 : 0));
}

void CharClasses::fill_blocks() {
  constexpr std::size_t kNumBlocks = CodePointSet::kEnd >> 8;
  std::vector<std::uint8_t> bytes(num_classes_);
  for (std::uint32_t i = 0; i < num_classes_; ++i) bytes[i] = byte_of(i);
  std::map<Block, std::uint16_t> known;
  auto run = runs_.begin();
  block_of_.reserve(kNumBlocks);
  for (std::size_t i = 0; i < kNumBlocks; ++i) {
    Block block;
    for (std::size_t j = 0; j < block.size();) {
      const auto c = static_cast<char32_t>(i << 8 | j);
      while (std::next(run) != runs_.end() && std::next(run)->begin <= c) ++run;
      const char32_t run_end = std::next(run) != runs_.end() ? std::next(run)->begin : CodePointSet::kEnd;
      const std::size_t end = std::min<std::size_t>(block.size(), j + (run_end - c));
      std::fill(block.begin() + static_cast<std::ptrdiff_t>(j),
                block.begin() + static_cast<std::ptrdiff_t>(end), bytes[run->class_idx]);
      j = end;
    }
    const auto [entry, is_new] = known.emplace(block, static_cast<std::uint16_t>(blocks_.size()));
    if (is_new) blocks_.push_back(block);
    block_of_.push_back(entry->second);
  }
}

std::string CharClasses::members(const CodePointSet& set) const {
  std::vector<bool> is_member(256);
  for (const Run& run : runs_) {
    if (set.contains(run.begin)) is_member[byte_of(run.class_idx)] = true;
  }
  std::string bytes;
  for (std::size_t byte = 0; byte < is_member.size(); ++byte) {
    if (is_member[byte]) bytes += static_cast<char>(byte);
  }
  return bytes;
}

void CharClasses::map(std::string_view text, std::string& classes) const {
  classes.resize(text.size());
  std::size_t num_chars = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      classes[num_chars++] = static_cast<char>(class_of(byte));
      ++at;
    } else {
      const Utf8Char c = decode_utf8(text, at);
      classes[num_chars++] = static_cast<char>(class_of(c.code_point));
      at += c.num_bytes;
    }
  }
  classes.resize(num_chars);
}

}  // namespace quire
