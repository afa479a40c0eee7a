// Passes over one row of logits, in blocks: the maximum and the sum of each block let later steps skip what
// cannot matter. The loops run over independent lanes, so that a compiler turns them into vector code without
// reordering any sum.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace quire {

constexpr std::size_t kLogitBlock = 64;

// Maximum of each block into `block_max`; returns the maximum of the row. -inf is a valid logit (a forbidden
// token). Throws Error{kInternal} when a logit is NaN or the maximum is not finite.
float scan_logits(std::span<const float> logits, std::vector<float>& block_max);

// Says which of the two it is, as scan_logits does.
[[noreturn]] void throw_not_finite(bool has_nan, float max);

// Lowest index that holds the row's maximum, given the result of `scan_logits`.
std::int32_t first_index_of(float max, std::span<const float> logits, std::span<const float> block_max);

// weights[i] = exp((logits[i] - max) * inv_temperature), and 0 for those below `min_weight`. Sums of the
// blocks into `block_sum`; returns the sum of the row (>= 1). Relative error of a weight: below 2e-7 plus the
// rounding of its exponent.
double exponentiate(std::span<const float> logits, float max, float inv_temperature, float min_weight,
                    std::vector<float>& weights, std::vector<double>& block_sum);

// exp(x) for x <= 0; 0 below -87. The one exponential of the sampler.
float exp_nonpositive(float x);

}  // namespace quire
