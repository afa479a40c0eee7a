// "32/8" on the command line.
#pragma once

#include <string>

namespace quire {

struct NumberPair {
  int first, second;  // equal if only one was written
};

// Throws Error{kInvalidArgument} naming the flag.
NumberPair parse_number_pair(const std::string& flag, const std::string& text);

}  // namespace quire
