// Passes over one row of logits, in blocks: the maximum and the sum of each block let later steps skip what
// cannot matter. Sums are of whole numbers, and maxima run over independent lanes, so that a compiler turns the
// loops into vector code.
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

// weights[i] = 2^((logits[i] - max) * scale), and 0 for those below `min_weight`. Sums of the blocks in units (see TokenDraw) into
// `block_units`; returns the sum of the row, at least 2^kWeightBits. Relative error of a weight: below 3e-7 plus the rounding of its
// exponent.
std::uint64_t exponentiate(std::span<const float> logits, float max, float scale, float min_weight, std::vector<float>& weights,
                           std::vector<std::uint64_t>& block_units);

// 2^x for x <= 0; 0 below -126. The one exponential of the sampler.
float exp2_nonpositive(float x);

// A weight in units, rounded to the nearest, even among equals.
std::uint64_t weight_units(float weight);

// The upper half of a product.
inline std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<Wide>(a) * b >> 64);
}

}  // namespace quire
