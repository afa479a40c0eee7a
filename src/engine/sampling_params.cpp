#include "engine/sampling_params.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace quire {
namespace {

constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();

// NaN fails every comparison, so it is refused like any other value outside.
template <class Value>
void check_range(const char* field, Value value, Value low, Value high) {
  QUIRE_CHECK(value >= low && value <= high, "{} is {}, must lie in [{}, {}]", field, value, low, high);
}

template <class Value>
void check_num_entries(const char* field, const std::vector<Value>& list, std::int64_t max_num_entries) {
  QUIRE_CHECK(static_cast<std::int64_t>(list.size()) <= max_num_entries,
              "{} has {} entries, at most {} are allowed", field, list.size(), max_num_entries);
}

void check_distribution(const SamplingParams& params) {
  check_range("temperature", params.temperature, 0.0, 2.0);
  check_range("top_k", params.top_k, std::int64_t{-1}, kMaxInt32);
  QUIRE_CHECK(params.top_p > 0.0 && params.top_p <= 1.0, "top_p is {}, must lie in (0, 1]", params.top_p);
  check_range("min_p", params.min_p, 0.0, 1.0);
  check_range("presence_penalty", params.presence_penalty, -2.0, 2.0);
  check_range("frequency_penalty", params.frequency_penalty, -2.0, 2.0);
  QUIRE_CHECK(std::isfinite(params.repetition_penalty) && params.repetition_penalty > 0.0,
              "repetition_penalty is {}, must be finite and greater than 0", params.repetition_penalty);
}

void check_end(const SamplingParams& params, const SamplingLimits& limits) {
  if (params.max_tokens) check_range("max_tokens", *params.max_tokens, std::int64_t{0}, kMaxInt32);
  check_range("min_tokens", params.min_tokens, std::int64_t{0}, params.max_tokens.value_or(kMaxInt32));
  check_num_entries("stop_token_ids", params.stop_token_ids, limits.max_num_stop_tokens);
  check_num_entries("stop", params.stop, limits.max_num_stop);
  QUIRE_CHECK(params.stop.empty() || limits.has_text, "stop has {} strings, but this engine has no tokenizer",
              params.stop.size());
  for (const std::string& stop : params.stop) {
    QUIRE_CHECK(!stop.empty(), "stop holds an empty string, each must have at least 1 byte");
    QUIRE_CHECK(static_cast<std::int64_t>(stop.size()) <= limits.max_stop_bytes,
                "stop holds a string of {} bytes, at most {} are allowed", stop.size(),
                limits.max_stop_bytes);
  }
}

void check_cache_salt(const std::string& salt) {
  QUIRE_CHECK(!salt.empty() && salt.size() <= 256, "cache_salt has {} bytes, must have 1 to 256",
              salt.size());
  for (const char c : salt) {
    const auto byte = static_cast<unsigned char>(c);
    QUIRE_CHECK(byte >= 0x20 && byte < 0x7f, "cache_salt holds byte {:#04x}, must be printable ASCII", byte);
  }
}

}  // namespace

SamplingParams checked_sampling_params(SamplingParams params, const SamplingLimits& limits) {
  check_distribution(params);
  if (!is_greedy(params)) params.temperature = std::max(params.temperature, 0.01);
  check_num_entries("logit_bias", params.logit_bias, limits.max_num_logit_bias);
  for (auto& [token, bias] : params.logit_bias) {
    QUIRE_CHECK(token >= 0 && token < limits.vocab_size, "logit_bias names token {}, must lie in [0, {}]",
                token, limits.vocab_size - 1);
    QUIRE_CHECK(!std::isnan(bias), "logit_bias of token {} is {}, must be a number", token, bias);
    bias = std::clamp(bias, -100.0, 100.0);
  }
  check_end(params, limits);
  if (params.logprobs) check_range("logprobs", *params.logprobs, std::int64_t{0}, limits.max_logprobs);
  if (params.prompt_logprobs)
    check_range("prompt_logprobs", *params.prompt_logprobs, std::int64_t{0}, limits.max_logprobs);
  check_range("priority", params.priority, -kMaxInt32, kMaxInt32);
  QUIRE_CHECK(params.priority == 0 || limits.has_priorities,
              "priority is {}, must be 0 unless the engine runs with the priority policy", params.priority);
  if (params.cache_salt) check_cache_salt(*params.cache_salt);
  return params;
}

}  // namespace quire
