// From tokens to text, one token at a time. The engine knows this interface only; tokenizers implement it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace quire {

struct TextDecoder {
  virtual ~TextDecoder() = default;
  virtual std::string push(
      std::int32_t token) = 0;       // text that is certain now: whole UTF-8 characters, may be empty
  virtual std::string finish() = 0;  // the rest, at the end of the output
};

// Makes the decoder of one request. Its text is what the output adds to the text of the prompt: the prompt's
// tokens are given because a tokenizer may write a token differently at the beginning of a text than behind
// other tokens.
using TextDecoderFactory = std::function<std::unique_ptr<TextDecoder>(std::span<const std::int32_t> prompt,
                                                                      bool skip_special_tokens)>;

}  // namespace quire
