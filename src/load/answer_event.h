// What one event of an OpenAI-compatible answer says, as far as a load test wants to know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quire {

struct AnswerEvent {
  std::string text;          // of chat or completions, reasoning included; load tests ask for one choice
  bool is_finished = false;  // a finish_reason is there
  std::optional<std::int64_t> prompt_len, cached_len, output_len;  // of "usage"
  std::string error;                                               // message of an "error" object or text
};

// Reads chunks of streams and whole answers, of chat and of completions. Throws Error{kCorruptFile} for
// anything that is not a JSON object. No tree is built: a load generator reads tens of thousands of these a
// second.
AnswerEvent parse_answer_event(std::string_view json);

}  // namespace quire
