#include "engine/softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace quire {
namespace {

constexpr std::size_t kLanes = 16;
constexpr float kNegInf = -std::numeric_limits<float>::infinity();

// exp(x) = 2^n * exp(r) with r = x - n ln 2 in [-ln 2 / 2, ln 2 / 2]; ln 2 in two parts keeps r exact to the
// last bits.
inline float exp_inline(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const float shifted = std::max(x, -87.0f) * 1.44269504088896341f + kRound;
  const float n = shifted - kRound;
  const float r = (std::max(x, -87.0f) - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  const std::uint32_t scale = std::bit_cast<std::uint32_t>(shifted)
                              << 23;  // n << 23, the rest is shifted out
  const float value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + scale);
  return x < -87.0f ? 0.0f : value;
}

std::size_t num_blocks_of(std::span<const float> logits) {
  return (logits.size() + kLogitBlock - 1) / kLogitBlock;
}

}  // namespace

float exp_nonpositive(float x) { return exp_inline(x); }

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

double exponentiate(std::span<const float> logits, float max, float inv_temperature, float min_weight,
                    std::vector<float>& weights, std::vector<double>& block_sum) {
  weights.resize(logits.size());
  block_sum.resize(num_blocks_of(logits));
  double total = 0.0;
  for (std::size_t block = 0; block < block_sum.size(); ++block) {
    const std::size_t begin = block * kLogitBlock, block_len = std::min(kLogitBlock, logits.size() - begin);
    const float* x = logits.data() + begin;
    float* out = weights.data() + begin;
    for (std::size_t i = 0; i < block_len; ++i) {
      const float weight = exp_inline((x[i] - max) * inv_temperature);
      out[i] = weight < min_weight ? 0.0f : weight;
    }
    std::array<float, kLanes> lanes{};
    std::size_t i = 0;
    for (; i + kLanes <= block_len; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += out[i + lane];
    }
    double sum = 0.0;
    for (const float lane : lanes) sum += lane;
    for (; i < block_len; ++i) sum += out[i];
    block_sum[block] = sum;
    total += sum;
  }
  return total;
}

}  // namespace quire
