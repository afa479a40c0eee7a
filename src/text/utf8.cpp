#include "text/utf8.h"

namespace quire {
namespace {

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// What the first byte says: how many bytes follow, and the range of the first of them (which excludes
// overlong forms, surrogates and everything above U+10FFFF).
struct LeadByte {
  int num_following;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
};

LeadByte classify(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {1};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {3};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {0};
}

}  // namespace

Utf8Char decode_utf8(std::string_view text, std::size_t begin) {
  const auto first = static_cast<unsigned char>(text[begin]);
  if (first < 0x80) return {first, 1, true, false};
  const LeadByte lead = classify(first);
  if (lead.num_following == 0) return {kReplacementChar, 1, false, false};
  char32_t code_point = first & (0x3F >> lead.num_following);
  for (int i = 1; i <= lead.num_following; ++i) {
    if (begin + i >= text.size()) return {kReplacementChar, static_cast<std::size_t>(i), false, true};
    const auto byte = static_cast<unsigned char>(text[begin + i]);
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : is_continuation(byte);
    if (!fits) return {kReplacementChar, static_cast<std::size_t>(i), false, false};
    code_point = code_point << 6 | (byte & 0x3F);
  }
  return {code_point, static_cast<std::size_t>(lead.num_following) + 1, true, false};
}

std::size_t previous_utf8(std::string_view text, std::size_t end) {
  do --end;
  while (end > 0 && is_continuation(static_cast<unsigned char>(text[end])));
  return end;
}

void append_utf8(std::string& out, char32_t code_point) {
  const auto tail = [code_point](int shift) {
    return static_cast<char>(0x80 | (code_point >> shift & 0x3F));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | code_point >> 6);
    out += tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | code_point >> 12);
    out += tail(6);
    out += tail(0);
  } else {
    out += static_cast<char>(0xF0 | code_point >> 18);
    out += tail(12);
    out += tail(6);
    out += tail(0);
  }
}

std::size_t append_lossy_utf8(std::string& out, std::string_view bytes, bool is_last) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const Utf8Char c = decode_utf8(bytes, at);
    if (c.is_truncated && !is_last) return at;
    if (c.is_valid) {
      out.append(bytes, at, c.num_bytes);
    } else {
      append_utf8(out, kReplacementChar);
    }
    at += c.num_bytes;
  }
  return at;
}

std::string_view shorten(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  std::size_t end = max_bytes;
  while (end > 0 && is_continuation(static_cast<unsigned char>(text[end]))) --end;
  return text.substr(0, end);
}

bool is_valid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (!c.is_valid) return false;
    at += c.num_bytes;
  }
  return true;
}

}  // namespace quire
