// UTF-8 in both directions. Invalid bytes follow the rule of Unicode (and of Python's errors='replace'): each
// maximal part that could have begun a character becomes one U+FFFD.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quire {

inline constexpr char32_t kReplacementChar = 0xFFFD;

struct Utf8Char {
  char32_t code_point;    // kReplacementChar when not valid
  std::size_t num_bytes;  // of the character, or of the maximal invalid part; at least 1
  bool is_valid;
  bool is_truncated;  // not valid only because the text ends inside the character
};

// Reads the character that starts at byte `begin` < text.size().
Utf8Char decode_utf8(std::string_view text, std::size_t begin);

// Start of the last character of text[0, end), where `text` is valid UTF-8 and end > 0.
std::size_t previous_utf8(std::string_view text, std::size_t end);

void append_utf8(std::string& out, char32_t code_point);

// Appends `bytes` to `out` with invalid parts replaced and returns how many bytes were used: all of them, or,
// unless `is_last`, those before a character whose end is still missing.
std::size_t append_lossy_utf8(std::string& out, std::string_view bytes, bool is_last);

// The beginning of valid UTF-8, in whole characters: at most `max_bytes`. For messages.
std::string_view shorten(std::string_view text, std::size_t max_bytes);

bool is_valid_utf8(std::string_view text);

}  // namespace quire
