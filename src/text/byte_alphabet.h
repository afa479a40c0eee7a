// The alphabet of byte-level BPE: each of the 256 bytes is written as one printable character, so that a
// vocabulary of bytes is a vocabulary of text. Printable Latin-1 bytes stand for themselves; the rest follow
// from U+0100 on.
#pragma once

#include <string>
#include <string_view>

namespace quire {

// Appends the character of every byte of `bytes` to `out`.
void append_byte_chars(std::string& out, std::string_view bytes);

// Appends the bytes that `chars` stands for. Returns false, with nothing appended, when a character is not in
// the alphabet.
bool try_append_bytes(std::string& out, std::string_view chars);

}  // namespace quire
