// Pre-tokenizers of tokenizer.json: ByteLevel Split Metaspace Digits Whitespace WhitespaceSplit Punctuation
// Sequence. They cut text into pieces that the model never merges across, and may rewrite it (byte alphabet,
// metaspace).
#pragma once

#include <memory>
#include <vector>

#include "text/json_field.h"
#include "text/normalizer.h"
#include "text/regex.h"

namespace quire {

struct SplitText : NormalizedText {
  std::vector<Span> pieces;  // ascending, not overlapping, never empty; bytes outside of them are dropped

  // One piece that is the whole text.
  explicit SplitText(NormalizedText source);
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Thread-safe. Throws Error{kExhausted} when the scratch's budget is used up.
  virtual void apply(SplitText& split, RegexScratch& scratch) const = 0;
};

// In the order in which they run; a Sequence is flattened. Throws Error{kUnsupported, kCorruptFile}.
using PreTokenizers = std::vector<std::unique_ptr<const PreTokenizer>>;
PreTokenizers make_pre_tokenizers(const JsonField& field);

}  // namespace quire
