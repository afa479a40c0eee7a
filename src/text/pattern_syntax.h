// Tokenizer files write their patterns in Oniguruma's dialect; PCRE2 runs them. The two agree on most text
// and differ silently on the rest (what \s, \w, \h, \v, ^ and {n,m}+ mean, scripts, nested classes, which
// Unicode they know), so a pattern is rewritten piece by piece and anything not known to mean the same in
// both is refused. All sets of characters are ours, from tables of our own: PCRE2 matches bytes that stand
// for classes of them.
#pragma once

#include <string>
#include <string_view>

#include "text/char_classes.h"

namespace quire {

struct BytePattern {
  CharClasses classes;  // a text goes through their `map`
  std::string pcre2;    // for MULTILINE with line feeds, without UTF
};

// From an Oniguruma pattern. `where` (file and field) starts the messages of Error{kUnsupported} and, for
// text that is no pattern at all, Error{kCorruptFile}.
BytePattern to_byte_pattern(std::string_view pattern, const std::string& where);

// The pattern that matches exactly `text`.
BytePattern to_literal_pattern(std::string_view text, const std::string& where);

}  // namespace quire
