// What a character is, by tables of our own: ids must not depend on which Unicode a distribution's libraries
// know. The version is that of Hugging Face's tokenizers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace quire {

struct ScriptName {
  std::string_view code, name;  // lower case, without underscores
};

// Pairs (first + i * step, first + i * step + distance), 0 <= i < count, of characters that differ in case
// only.
struct CaseRun {
  std::uint32_t first, distance, step, count;
};

// The generated tables. Each run of equal values is its name, then its length in decimal unless that is 1;
// the runs follow each other from U+0000 on. Categories are named by letters, "a" to "z" and "A" to "D", in
// the order of kCategoryNames; scripts by their codes, a capital and three small letters.
std::string_view category_text();
std::string_view script_text();
std::span<const ScriptName> script_names();
std::span<const CaseRun> case_runs();

inline constexpr std::string_view kCategoryNames[] = {
    "cn", "lu", "ll", "lt", "lm", "lo", "mn", "mc", "me", "nd", "nl", "no", "pc", "pd", "ps",
    "pe", "pi", "pf", "po", "sm", "sc", "sk", "so", "zs", "zl", "zp", "cc", "cf", "cs", "co"};

}  // namespace quire
