// What a caller may ask of one request. Every field is checked before the request is taken; a value outside
// its range is an Error{kInvalidArgument} whose message starts with the field's name. Integers are 64 bits
// wide so that what a client sent can be judged, and named, as it was sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace quire {

struct SamplingParams {
  // Choice of the next token. Order of effect: min_tokens mask, logit_bias, penalties; greedy choice ends
  // here; temperature, min_p, top_k, top_p (each on what the one before it left).
  double temperature = 1.0;        // [0, 2]; below 1e-5 is greedy, between that and 0.01 counts as 0.01
  std::int64_t top_k = 0;          // keep the k most likely; 0 or -1 is off
  double top_p = 1.0;              // (0, 1]: keep the smallest set of most likely tokens that holds this mass
  double min_p = 0.0;              // [0, 1]: drop what is less likely than this share of the most likely
  double presence_penalty = 0.0;   // [-2, 2], once for each token of the output
  double frequency_penalty = 0.0;  // [-2, 2], for each time a token stands in the output
  double repetition_penalty =
      1.0;  // > 0; divides positive and multiplies negative logits of prompt and output tokens
  std::vector<std::pair<std::int32_t, double>> logit_bias;  // token id, added value (clamped to [-100, 100])
  std::optional<std::int64_t>
      seed;  // equal seeds give equal draws at equal logits, whatever else is in the batch

  // When to stop.
  // >= 0; absent: what the context leaves; 0: nothing is drawn, the prompt is computed as far as its logprobs
  // need
  std::optional<std::int64_t> max_tokens;
  std::int64_t min_tokens = 0;    // no end token, stop token or stop string before so many output tokens
  bool ignore_eos = false;        // the model's end tokens do not end the request
  std::vector<std::string> stop;  // at most 4, none empty; the match is cut from the text
  std::vector<std::int32_t> stop_token_ids;  // end the request beside the model's end tokens
  bool include_stop_str_in_output = false;  // keep the matched stop string (or stop token's text) in the text

  bool skip_special_tokens = true;  // the text leaves out special tokens

  // What to report: absent nothing, 0 the chosen token, N also the N most likely. Values are the log-softmax
  // of the model's own logits, before anything above has changed them.
  std::optional<std::int64_t> logprobs;
  std::optional<std::int64_t> prompt_logprobs;  // the same for the prompt's tokens, which are then all computed

  std::int64_t priority = 0;              // lower runs first; needs the priority policy
  std::optional<std::string> cache_salt;  // requests share cached prefixes only under equal salts
};

}  // namespace quire
