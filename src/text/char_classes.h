// The alphabet of one pattern: characters that no part of the pattern tells apart are one class, and each
// class is one byte. The matcher then sees bytes only, whatever it knows of Unicode.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/code_point_set.h"

namespace quire {

class CharClasses {
 public:
  static constexpr std::size_t kMaxClasses = 255;

  // For a pattern that speaks of `sets`. A line feed is always a class of its own, which is written as
  // itself. `are_few` is false, and the object of no use, where there would be more than kMaxClasses.
  explicit CharClasses(const std::vector<CodePointSet>& sets);
  bool are_few() const { return are_few_; }

  std::uint8_t class_of(char32_t c) const { return blocks_[block_of_[c >> 8]][c & 0xff]; }
  // Classes that make up one of the sets, as bytes.
  std::string members(const CodePointSet& set) const;

  // Writes the class of each character of `text` (valid UTF-8) to `classes`.
  void map(std::string_view text, std::string& classes) const;

 private:
  struct Run {
    char32_t begin;
    std::uint32_t class_idx;
  };
  void refine(const CodePointSet& set);
  std::uint8_t byte_of(std::uint32_t class_idx) const;
  void fill_blocks();

  using Block = std::array<std::uint8_t, 256>;
  std::vector<Run> runs_ = {{0, 0}};  // sorted; each reaches to the next
  std::uint32_t num_classes_ = 1;
  bool are_few_ = true;
  std::vector<Block> blocks_;
  std::vector<std::uint16_t> block_of_;  // of each 256 code points
};

}  // namespace quire
