// What one request gives back, piece by piece.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace quire {

enum class FinishReason : std::uint8_t {
  kNone,    // still running
  kStop,    // an end token, a stop token or a stop string
  kLength,  // max_tokens, or the context is full
  kAbort,   // cancelled, or the engine was closed
  kError,   // failed alone; `error` says why
};

const char* to_string(FinishReason reason);

struct TokenLogprob {
  std::int32_t token = 0;
  float logprob = 0.0f;  // natural logarithm
};

struct TokenLogprobs {
  TokenLogprob chosen;
  std::int32_t rank = 0;          // 1 = no token was more likely
  std::vector<TokenLogprob> top;  // most likely first
};

struct RequestOutput {
  std::vector<std::int32_t> token_ids;  // new since the last output
  std::string text;                     // new since the last output, whole UTF-8 characters
  std::vector<TokenLogprobs> logprobs;  // one a new token, if asked for
  FinishReason finish_reason = FinishReason::kNone;
  std::vector<TokenLogprobs> prompt_logprobs;  // of all prompt tokens but the first, if asked for; comes once
  std::string stop_string;                 // the stop string that matched, if one did
  std::optional<std::int32_t> stop_token;  // the stop or end token that was drawn, if one was
  std::string error;                       // why, when finish_reason is kError
  std::int32_t prompt_len = 0;             // tokens
  std::int32_t cached_len = 0;  // prompt tokens whose keys and values were found in the prefix cache
  std::int32_t output_len = 0;  // tokens so far, this output's included
  double first_token_s = 0;     // from the submission to the first token, however late it is taken; 0 before
  double queue_s = 0;  // from the submission to the first step that computed a token of the request

  bool is_last() const { return finish_reason != FinishReason::kNone; }
};

}  // namespace quire
