// Recorded loads: JSON Lines, one request a line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quire {

// Keys of a line, all but the first two optional:
//   prompt_len, output_len   tokens, at least 1
//   arrival_s                seconds after the start; on every line or on none, not decreasing
//   prompt                   the text itself, instead of prompt_len
//   prefix, prefix_len       a name and a length: prompts that name the same prefix begin with the same
//   prefix_len tokens
struct TraceEntry {
  int prompt_len = 0;  // 0 where the text is given
  int output_len = 0;
  std::optional<double> arrival_s;
  std::string prompt, prefix;
  int prefix_len = 0;
};

// Throws Error{kInvalidArgument} that names `origin`, the line and the key.
std::vector<TraceEntry> parse_trace(std::string_view text, const std::string& origin);

// Throws Error{kNotFound} too.
std::vector<TraceEntry> read_trace(const std::string& path);

}  // namespace quire
