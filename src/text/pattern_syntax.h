// Tokenizer files write their patterns in Oniguruma's dialect; PCRE2 runs them. The two agree on most text
// and differ silently on the rest (what \s, \w, \h, \v, ^ and {n,m}+ mean, scripts, nested classes), so a
// pattern is rewritten piece by piece and anything not known to mean the same in both is refused.
#pragma once

#include <string>
#include <string_view>

namespace quire {

// The PCRE2 form (for UTF, UCP and MULTILINE) of an Oniguruma pattern. `where` (file and field) starts the
// messages of Error{kUnsupported} and, for text that is no pattern at all, Error{kCorruptFile}.
std::string to_pcre2_pattern(std::string_view pattern, const std::string& where);

// The PCRE2 form that matches exactly `text`.
std::string to_literal_pattern(std::string_view text);

}  // namespace quire
