// When a request ends: by its tokens, by its length, by a string in its text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"

namespace quire {

// kStop for an end token, kLength at max_len, else kNone. Looks at the last token, which must be an output
// token.
FinishReason check_last_token(const Request& request);

// Finds stop strings in text that arrives in pieces. Text that could still turn out to be the beginning of a
// stop string is held back: at most one byte less than the longest stop string. Stop strings and text are
// whole UTF-8 characters, hence so is what is let through.
class StopStrings {
 public:
  StopStrings(std::vector<std::string> stops, bool is_match_kept);

  // Takes new text and returns what may be shown. Once a stop string is complete (the one that ends first; of
  // several, the longest), all text up to the match is returned, with the match itself if it is kept, and
  // everything after is dropped.
  std::string push(std::string_view text);
  // Text that is shown whatever it says, because the request may not stop yet.
  std::string push_unchecked(std::string_view text);
  // What is held back, at the end of the request.
  std::string finish();

  const std::string& matched() const { return matched_; }  // the stop string that was found, or empty

 private:
  std::size_t held_back_bytes() const;

  std::vector<std::string> stops_;
  bool is_match_kept_;
  std::string pending_;  // not shown yet; holds no complete stop string
  std::string matched_;
};

}  // namespace quire
