#include "engine/softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "engine/token_draw.h"

namespace quire {
namespace {

constexpr std::size_t kLanes = 16;
constexpr float kNegInf = -std::numeric_limits<float>::infinity();

// 2^x = 2^n * 2^f with n the nearest whole number: adding 1.5 * 2^23 rounds to it, and leaves it in the low bits. The polynomial's
// relative error is 9.2e-8 before rounding.
inline float exp2_inline(float x) {
  constexpr float kRound = 12582912.0f;
  const float y = std::max(x, -126.0f);
  const float shifted = y + kRound;
  const float f = y - (shifted - kRound);
  float p = f * 1.3264724e-3f + 9.67151295e-3f;
  p = p * f + 5.55073375e-2f;
  p = p * f + 0.240222421f;
  p = p * f + 0.693146978f;
  p = p * f + 1.0f;
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) << 23;  // the rest is shifted out
  const float value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + exponent);
  return x < -126.0f ? 0.0f : value;
}

// In [2^52, 2^53) the bits of a double are a constant plus a whole number: adding 2^52 rounds to the nearest, even among equals.
constexpr double kWhole = 0x1p52;
constexpr float kUnits = static_cast<float>(std::uint64_t{1} << kWeightBits);
inline std::uint64_t biased_units(float weight) { return std::bit_cast<std::uint64_t>(static_cast<double>(weight * kUnits) + kWhole); }
constexpr std::uint64_t kBiasUnits = std::bit_cast<std::uint64_t>(kWhole);

std::size_t num_blocks_of(std::span<const float> logits) {
  return (logits.size() + kLogitBlock - 1) / kLogitBlock;
}

}  // namespace

float exp2_nonpositive(float x) { return exp2_inline(x); }

std::uint64_t weight_units(float weight) { return biased_units(weight) - kBiasUnits; }

void throw_not_finite(bool has_nan, float max) {
  throw_error(ErrorKind::kInternal, "logits are not finite: {}",
              has_nan ? "there is a NaN among them" : fmt::format("their maximum is {}", max));
}

float scan_logits(std::span<const float> logits, std::vector<float>& block_max) {
  block_max.resize(num_blocks_of(logits));
  std::array<std::uint32_t, kLanes> nan_lanes{};
  bool has_nan = false;
  float row_max = kNegInf;
  for (std::size_t block = 0; block < block_max.size(); ++block) {
    const float* x = logits.data() + block * kLogitBlock;
    const std::size_t block_len = std::min(kLogitBlock, logits.size() - block * kLogitBlock);
    std::array<float, kLanes> lanes;
    lanes.fill(kNegInf);
    std::size_t i = 0;
    for (; i + kLanes <= block_len; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
        nan_lanes[lane] |= static_cast<std::uint32_t>(x[i + lane] != x[i + lane]);
      }
    }
    float max = *std::max_element(lanes.begin(), lanes.end());
    for (; i < block_len; ++i) {
      max = std::max(max, x[i]);
      has_nan |= x[i] != x[i];
    }
    block_max[block] = max;
    row_max = std::max(row_max, max);
  }
  for (const std::uint32_t lane : nan_lanes) has_nan |= lane != 0;
  if (has_nan || !std::isfinite(row_max)) throw_not_finite(has_nan, row_max);
  return row_max;
}

std::int32_t first_index_of(float max, std::span<const float> logits, std::span<const float> block_max) {
  const auto block = std::find(block_max.begin(), block_max.end(), max) - block_max.begin();
  const auto begin = logits.begin() + block * static_cast<std::ptrdiff_t>(kLogitBlock);
  return static_cast<std::int32_t>(std::find(begin, logits.end(), max) - logits.begin());
}

std::uint64_t exponentiate(std::span<const float> logits, float max, float scale, float min_weight, std::vector<float>& weights,
                           std::vector<std::uint64_t>& block_units) {
  weights.resize(logits.size());
  block_units.resize(num_blocks_of(logits));
  std::uint64_t total = 0;
  for (std::size_t block = 0; block < block_units.size(); ++block) {
    const std::size_t begin = block * kLogitBlock, block_len = std::min(kLogitBlock, logits.size() - begin);
    const float* x = logits.data() + begin;
    float* out = weights.data() + begin;
    for (std::size_t i = 0; i < block_len; ++i) {
      const float weight = exp2_inline((x[i] - max) * scale);
      out[i] = weight < min_weight ? 0.0f : weight;
    }
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < block_len; ++i) sum += biased_units(out[i]);
    block_units[block] = sum - block_len * kBiasUnits;
    total += block_units[block];
  }
  return total;
}

}  // namespace quire
