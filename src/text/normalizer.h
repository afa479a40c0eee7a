// Normalizers of tokenizer.json: NFC NFD NFKC NFKD Lowercase Strip StripAccents Replace Prepend Sequence.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_field.h"
#include "text/regex.h"

namespace quire {

// A stretch of the caller's text on its way to tokens. `starts_at_origin` says that its first character came
// from the first character of the whole text, which is what prepend_scheme "first" asks about.
struct NormalizedText {
  std::string text;  // valid UTF-8
  bool starts_at_origin = true;
  // One for each byte of the text, 1 where it was made from bytes that were marked; empty when none was. A
  // character that is made from several is marked if one of them was.
  std::string marks{};

  bool is_marked(std::size_t begin, std::size_t end) const {
    return !marks.empty() &&
           std::string_view(marks).substr(begin, end - begin).find('\1') != std::string_view::npos;
  }
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Thread-safe. Throws Error{kExhausted} when the scratch's budget is used up.
  virtual void apply(NormalizedText& text, RegexScratch& scratch) const = 0;
};

// In the order in which they run; a Sequence is flattened. Throws Error{kUnsupported, kCorruptFile}.
using Normalizers = std::vector<std::unique_ptr<const Normalizer>>;
Normalizers make_normalizers(const JsonField& field);

}  // namespace quire
