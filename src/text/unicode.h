// The Unicode properties that tokenizers ask for, named after what Hugging Face's library means by them.
#pragma once

#include <string_view>

#include "text/utf8.h"

namespace quire {

bool is_whitespace(char32_t c);   // White_Space
bool is_numeric(char32_t c);      // categories Nd, Nl, No
bool is_punctuation(char32_t c);  // categories P*, and every ASCII punctuation mark
bool is_mark(char32_t c);         // categories M*
bool is_word_char(char32_t c);    // \w: Alphabetic, M*, Nd, Pc, Join_Control

// Lower case of one character regardless of its neighbours; U+0130 is the one that becomes two characters.
void append_lowercase(std::string& out, char32_t c);

// End of the run of characters with `property` that starts at byte `begin` of valid UTF-8.
template <class Property>
std::size_t skip_while(std::string_view text, std::size_t begin, Property property) {
  while (begin < text.size()) {
    const Utf8Char c = decode_utf8(text, begin);
    if (!property(c.code_point)) break;
    begin += c.num_bytes;
  }
  return begin;
}

// Start of the run of characters with `property` that ends at byte `end`, not before `floor`.
template <class Property>
std::size_t skip_back_while(std::string_view text, std::size_t floor, std::size_t end, Property property) {
  while (end > floor) {
    const std::size_t begin = previous_utf8(text, end);
    if (begin < floor || !property(decode_utf8(text, begin).code_point)) break;
    end = begin;
  }
  return end;
}

}  // namespace quire
