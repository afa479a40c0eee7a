// Where the tokens of a completion begin in its text: `text_offset` of the log probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/detokenizer.h"

namespace quire {

class TextOffsets {
 public:
  // Of an answer to `prompt`. The tokenizer must outlive the object.
  TextOffsets(const Tokenizer& tokenizer, std::span<const std::int32_t> prompt, bool skip_special_tokens);

  // With echo, before the first `next`: where each token of the prompt begins in `echoed`, the text that
  // stands before the answer. Tokens that the server added and that stand for no text there begin where the
  // next does.
  std::vector<std::int64_t> of_prompt(std::span<const std::int32_t> prompt, std::string_view echoed);

  // Where `token`, the next one of the answer, begins.
  std::int64_t next(std::int32_t token);

 private:
  const Tokenizer& tokenizer_;
  Detokenizer answer_;
  std::int64_t num_chars_ = 0;  // code points before the next token
};

}  // namespace quire
