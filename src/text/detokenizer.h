// Ids back to text, one at a time, for streams.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "text/decoder_chain.h"
#include "text/tokenizer.h"

namespace quire {

// Every piece of text that comes out is valid UTF-8 of whole characters, and all pieces together, the one of
// `finish` included, are what Tokenizer::decode gives for all ids. Text comes as soon as no later token can
// change it: for a character of several byte tokens, after its last one; for the byte fallback of metaspace
// models, after the run of byte tokens, since one bad byte spoils the whole run.
class Detokenizer {
 public:
  // The tokenizer must outlive the detokenizer.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special_tokens);
  Detokenizer(Detokenizer&&) noexcept;
  Detokenizer& operator=(Detokenizer&&) noexcept;
  ~Detokenizer();

  // The text to come follows that of `prompt`: what the prompt alone writes is left out, a character that it
  // begins and the next tokens end is not. To be called before the first push. Throws like push.
  void follow(std::span<const std::int32_t> prompt);

  // Throws Error{kExhausted} where a hostile file makes the work explode.
  std::string push(std::int32_t id);
  // What was held back. The object is done: another push or finish throws Error{kInvalidArgument}.
  std::string finish();

 private:
  class Sink;

  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  bool is_finished_ = false;
  std::size_t num_bytes_ = 0;             // of all tokens so far
  std::unique_ptr<RegexScratch> budget_;  // of all stages, anew for each token
  std::unique_ptr<Sink> sink_;
  std::vector<std::unique_ptr<DecodeStage>> stages_;  // last first; each passes on to the one before it
};

}  // namespace quire
