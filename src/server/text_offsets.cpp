#include "server/text_offsets.h"

#include <algorithm>
#include <string>

#include "text/utf8.h"

namespace quire {
namespace {

std::int64_t num_chars(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

// End of `piece`, the text of a token, in a text where it begins at byte `at`. Tokenizers put spaces and
// special tokens around a text, and normalise it: what is not there as it is counts by its characters.
std::size_t end_of(std::string_view piece, bool is_special, std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  if (rest.starts_with(piece)) return at + piece.size();
  if (is_special) return at;
  if (piece.starts_with(' ') && rest.starts_with(piece.substr(1))) return at + piece.size() - 1;
  for (std::int64_t left = num_chars(piece); left > 0 && at < text.size(); --left) {
    at += std::min(decode_utf8(text, at).num_bytes, text.size() - at);
  }
  return at;
}

}  // namespace

TextOffsets::TextOffsets(const Tokenizer& tokenizer, std::span<const std::int32_t> prompt,
                         bool skip_special_tokens)
    : tokenizer_(tokenizer), answer_(tokenizer, skip_special_tokens) {
  answer_.follow(prompt);
}

std::vector<std::int64_t> TextOffsets::of_prompt(std::span<const std::int32_t> prompt,
                                                 std::string_view echoed) {
  std::vector<std::int64_t> offsets;
  Detokenizer detokenizer(tokenizer_, false);
  std::size_t at = 0;
  std::int64_t num_chars_before = 0;
  for (const std::int32_t token : prompt) {
    offsets.push_back(num_chars_before);
    const std::size_t end = end_of(detokenizer.push(token), tokenizer_.is_special(token), echoed, at);
    num_chars_before += num_chars(echoed.substr(at, end - at));
    at = end;
  }
  num_chars_ = num_chars(echoed);
  return offsets;
}

std::int64_t TextOffsets::next(std::int32_t token) {
  const std::int64_t offset = num_chars_;
  num_chars_ += num_chars(answer_.push(token));
  return offset;
}

}  // namespace quire
