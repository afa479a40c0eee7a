#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "text/utf8.h"

namespace quire {
namespace {

constexpr int kAlphabetEnd = 0x144;  // one past the highest code point of the alphabet

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<char16_t, 256> make_char_table() {
  std::array<char16_t, 256> table{};
  char16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte)
    table[byte] = stands_for_itself(byte) ? static_cast<char16_t>(byte) : next++;
  return table;
}

constexpr std::array<char16_t, 256> kCharOfByte = make_char_table();

constexpr std::array<std::int16_t, kAlphabetEnd> make_byte_table() {
  std::array<std::int16_t, kAlphabetEnd> table{};
  for (auto& byte : table) byte = -1;
  for (int byte = 0; byte < 256; ++byte) table[kCharOfByte[byte]] = static_cast<std::int16_t>(byte);
  return table;
}

constexpr std::array<std::int16_t, kAlphabetEnd> kByteOfChar = make_byte_table();

}  // namespace

void append_byte_chars(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) append_utf8(out, kCharOfByte[static_cast<unsigned char>(byte)]);
}

bool try_append_bytes(std::string& out, std::string_view chars) {
  const std::size_t start = out.size();
  for (std::size_t at = 0; at < chars.size();) {
    const Utf8Char c = decode_utf8(chars, at);
    if (c.code_point >= kAlphabetEnd || kByteOfChar[c.code_point] < 0) {
      out.resize(start);
      return false;
    }
    out += static_cast<char>(kByteOfChar[c.code_point]);
    at += c.num_bytes;
  }
  return true;
}

}  // namespace quire
