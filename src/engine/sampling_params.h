// The one validator of SamplingParams.
#pragma once

#include <cstdint>

#include "quire/sampling_params.h"

namespace quire {

// What the engine at hand allows.
struct SamplingLimits {
  std::int32_t vocab_size = 0;
  std::int64_t max_logprobs = 20;
  std::int64_t max_num_stop = 4;       // stop strings
  std::int64_t max_stop_bytes = 1024;  // of one stop string: so much text may have to be held back
  std::int64_t max_num_logit_bias = 1024;
  std::int64_t max_num_stop_tokens = 1024;
  bool has_priorities = false;  // the scheduler's policy looks at them
  bool has_text = true;         // there is a tokenizer, so stop strings can be found
};

// Returns the parameters with clamped values put to their bounds (temperature between 1e-5 and 0.01,
// logit_bias). Throws Error{kInvalidArgument} that names field, value and range.
SamplingParams checked_sampling_params(SamplingParams params, const SamplingLimits& limits);

inline bool is_greedy(const SamplingParams& params) { return params.temperature < 1e-5; }

}  // namespace quire
