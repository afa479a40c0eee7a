// Decoders of tokenizer.json: ByteLevel ByteFallback Metaspace Fuse Strip Replace Sequence. Decoding is a
// stream from the start: tokens enter a chain of stages one by one, and text leaves it as soon as no later
// token can change it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_field.h"
#include "text/regex.h"

namespace quire {

// Receives tokens, each as any number of `text` calls followed by `end_token`, and after the last one
// `finish`.
class DecodeStage {
 public:
  virtual ~DecodeStage() = default;
  virtual void text(std::string_view part) = 0;
  virtual void end_token() = 0;
  virtual void finish() = 0;
};

class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;

  // A stage that passes what it makes to `next`, which must outlive it, as must the budget for the work of
  // all stages together. The decoder must outlive the stage.
  virtual std::unique_ptr<DecodeStage> make_stage(DecodeStage& next, RegexScratch& budget) const = 0;

  // How many bytes of text one byte may become at most; 1 for those that never write more than they read.
  virtual double growth() const { return 1; }

  // Turns one token, as it stands in the middle of a text, into its bytes. Returns false when these are
  // final: raw bytes that no other decoder may read.
  virtual bool map_token(std::string& token) const = 0;
};

// In the order in which they run; a Sequence is flattened. Throws Error{kUnsupported, kCorruptFile}, the
// former also for a chain that may make a text more than a thousand times longer.
using DecoderChain = std::vector<std::unique_ptr<const TokenDecoder>>;
DecoderChain make_decoders(const JsonField& field);

// What a file without a decoder means: tokens with one space between them.
DecoderChain make_default_decoders();

}  // namespace quire
