// Draws on a device against those of the engine's sampler, and against the distribution.
#include "model/device_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "base/stable_sort.h"
#include "device/registry.h"
#include "engine/philox.h"
#include "engine/sampler.h"
#include "targets/cpu/cpu_device.h"
#include "targets/cpu/levels.h"

namespace quire {
namespace {

std::unique_ptr<Device> open_cpu(const std::string& isa = "") {
  TargetRegistry registry;
  register_cpu_target(registry);
  DeviceOptions options;
  options.settings = {{"cpu.isa", isa}, {"cpu.threads", "2"}};
  return registry.open("cpu", options);
}

struct Rows {
  int vocab_size;
  std::vector<float> logits;
  std::vector<TokenDraw> draws;

  std::span<const float> row(std::size_t r) const {
    const auto len = static_cast<std::size_t>(vocab_size);
    return std::span(logits).subspan(r * len, len);
  }
};

std::vector<std::int32_t> draw_on(Device& device, DeviceSampler& sampler, const Rows& rows) {
  const auto logits = device.allocate(rows.logits.size() * sizeof(float));
  device.copy_to_device(logits->data(), rows.logits.data(), logits->bytes());
  std::vector<DrawRow> draws;
  for (const TokenDraw& d : rows.draws) draws.push_back({d.random, d.top_p, d.scale, d.min_weight, d.top_k, 0});
  const auto device_draws = device.allocate(draws.size() * sizeof(DrawRow));
  device.copy_to_device(device_draws->data(), draws.data(), device_draws->bytes());
  const int num_rows = static_cast<int>(draws.size());
  sampler.reserve(num_rows);
  sampler.sample(logits->as<float>(), num_rows);
  sampler.draw(logits->as<float>(), device_draws->as<DrawRow>(), num_rows, true);
  std::vector<std::int32_t> tokens(draws.size());
  device.copy_to_host(tokens.data(), reinterpret_cast<const std::byte*>(sampler.tokens()), tokens.size() * sizeof(std::int32_t));
  return tokens;
}

std::uint64_t fixed_point(double x) { return static_cast<std::uint64_t>(std::ldexp(x, 64)); }

TokenDraw random_draw(std::mt19937_64& random, int vocab_size) {
  TokenDraw draw;
  if (random() % 8 == 0) return draw;
  draw.random = random();
  draw.scale = static_cast<float>(1.4426950408889634 / (0.1 + static_cast<double>(random() % 20) / 10.0));
  if (random() % 2) draw.top_k = 1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(random() % 2 ? 50 : vocab_size + 3));
  if (random() % 2) draw.top_p = fixed_point(static_cast<double>(1 + random() % 999) / 1000.0);
  if (random() % 3 == 0) draw.min_weight = static_cast<float>(random() % 100) / 100.0f;
  return draw;
}

Rows random_rows(std::mt19937_64& random) {
  Rows rows;
  rows.vocab_size = 1 + static_cast<int>(random() % (random() % 4 ? 300 : 20000));
  std::normal_distribution<float> normal(0.0f, 1.0f + static_cast<float>(random() % 5));
  const bool has_ties = random() % 3 == 0, has_masks = random() % 4 == 0;
  for (auto r = 1 + random() % 8; r > 0; --r) {
    for (int i = 0; i < rows.vocab_size; ++i) {
      const float x = has_ties ? std::round(normal(random)) : normal(random);
      rows.logits.push_back(has_masks && random() % 2 && i > 0 ? -std::numeric_limits<float>::infinity() : x);
    }
    rows.draws.push_back(random_draw(random, rows.vocab_size));
  }
  return rows;
}

// Whether the host draws the token, or one on each side of it, when its uniform variable or a threshold is moved by what rounding of
// exponentials can make of a sum.
bool is_neighbour(Sampler& sampler, std::span<const float> logits, TokenDraw draw, std::int32_t token) {
  constexpr double kBound = 1e-5;
  const auto moved = [](std::uint64_t x, double by) { return fixed_point(std::clamp(std::ldexp(static_cast<double>(x), -64) + by, 1e-15, 1 - 1e-15)); };
  for (const double p : {-kBound, 0.0, kBound}) {
    for (const double m : {-kBound, 0.0, kBound}) {
      TokenDraw low = draw;
      if (draw.top_p > 0) low.top_p = moved(draw.top_p, p * std::ldexp(static_cast<double>(draw.top_p), -64));
      low.min_weight = draw.min_weight * static_cast<float>(1 + m);
      TokenDraw high = low;
      low.random = moved(draw.random, -kBound);
      high.random = moved(draw.random, kBound);
      if (sampler.draw(logits, low) <= token && token <= sampler.draw(logits, high)) return true;
    }
  }
  return false;
}

class DeviceSamplerLevels : public testing::TestWithParam<CpuLevel> {};

TEST_P(DeviceSamplerLevels, DrawsWhatTheHostDraws) {
  if (!GetParam().present) GTEST_SKIP() << GetParam().architecture << " is not on this machine";
  const auto device = open_cpu(GetParam().name);
  std::mt19937_64 random(3);
  int num_draws = 0, num_different = 0;
  for (int round = 0; round < 300; ++round) {
    const Rows rows = random_rows(random);
    DeviceSampler on_device(*device, rows.vocab_size);
    Sampler on_host(rows.vocab_size);
    const std::vector<std::int32_t> tokens = draw_on(*device, on_device, rows);
    for (std::size_t r = 0; r < tokens.size(); ++r, ++num_draws) {
      const std::int32_t expected = on_host.draw(rows.row(r), rows.draws[r]);
      if (tokens[r] == expected) continue;
      ++num_different;
      ASSERT_TRUE(is_neighbour(on_host, rows.row(r), rows.draws[r], tokens[r]))
          << "round " << round << ", row " << r << ": " << tokens[r] << " for " << expected;
    }
  }
  EXPECT_GT(num_draws, 1000);
  EXPECT_LE(num_different, num_draws / 200);
}

INSTANTIATE_TEST_SUITE_P(Cpu, DeviceSamplerLevels, testing::ValuesIn(cpu_levels()),
                         [](const auto& level) { return std::string(level.param.name); });

// Probabilities by sorting everything, in float64.
std::vector<double> probabilities(std::span<const float> logits, const TokenDraw& draw, double top_p) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  sort_stably(order, [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  std::vector<double> weights(logits.size(), 0.0);
  double total = 0.0, mass = 0.0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    if (draw.top_k > 0 && rank >= static_cast<std::size_t>(draw.top_k)) break;
    const double weight = std::exp2((logits[order[rank]] - static_cast<double>(logits[order[0]])) * draw.scale);
    if (weight >= draw.min_weight) weights[order[rank]] = weight;
    total += weights[order[rank]];
  }
  for (const std::size_t token : order) {
    if (mass >= top_p * total && top_p < 1.0) weights[token] = 0.0;
    mass += weights[token];
  }
  const double kept = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= kept;
  return weights;
}

// Chi-square over tokens that are expected ten times or more, and all others together; the seeds are fixed, the critical value is about
// six standard deviations out.
void check_distribution(Device& device, int vocab_size, TokenDraw draw, double top_p) {
  if (top_p < 1.0) draw.top_p = fixed_point(top_p);
  std::mt19937_64 random(static_cast<unsigned>(vocab_size));
  std::normal_distribution<float> normal(0.0f, 2.0f);
  std::vector<float> logits;
  for (int i = 0; i < vocab_size; ++i) logits.push_back(normal(random));
  const std::vector<double> expected = probabilities(logits, draw, top_p);
  DeviceSampler sampler(device, vocab_size);
  constexpr int kNumLaunches = 40, kNumRows = 128, kNumDraws = kNumLaunches * kNumRows;
  std::vector<int> counts(logits.size());
  for (int launch = 0; launch < kNumLaunches; ++launch) {
    Rows rows{vocab_size, {}, {}};
    for (int r = 0; r < kNumRows; ++r) {
      rows.logits.insert(rows.logits.end(), logits.begin(), logits.end());
      draw.random = random_bits(static_cast<std::uint64_t>(r), static_cast<std::uint64_t>(launch));
      rows.draws.push_back(draw);
    }
    for (const std::int32_t token : draw_on(device, sampler, rows)) ++counts[static_cast<std::size_t>(token)];
  }
  double chi_square = 0.0, rest_mean = 0.0;
  int num_cells = 0, rest_count = 0;
  const auto add = [&](double mean, int count) {
    chi_square += (count - mean) * (count - mean) / mean;
    ++num_cells;
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    ASSERT_FALSE(expected[i] == 0.0 && counts[i] > 0) << "token " << i << " cannot come";
    const double mean = expected[i] * kNumDraws;
    if (mean >= 10.0) {
      add(mean, counts[i]);
    } else {
      rest_mean += mean;
      rest_count += counts[i];
    }
  }
  if (rest_mean > 5.0) add(rest_mean, rest_count);
  const double freedom = std::max(1, num_cells - 1);
  EXPECT_LT(chi_square, freedom + 6.0 * std::sqrt(2.0 * freedom) + 6.0) << num_cells << " cells";
}

TEST(DeviceSampler, DrawsFromTheDistribution) {
  const auto device = open_cpu();
  for (const int vocab_size : {3, 40, 1500}) {
    const auto check = [&](double temperature, int top_k, double top_p, float min_weight) {
      SCOPED_TRACE(testing::Message() << vocab_size << " tokens, temperature " << temperature << ", top_k " << top_k << ", top_p " << top_p
                                      << ", min_p " << min_weight);
      check_distribution(*device, vocab_size, {0, 0, static_cast<float>(1.4426950408889634 / temperature), min_weight, top_k}, top_p);
    };
    check(1.0, 0, 1.0, 0.0f);
    check(0.3, 0, 1.0, 0.0f);
    check(2.0, 0, 1.0, 0.0f);
    check(1.0, 5, 1.0, 0.0f);
    check(1.0, 1, 1.0, 0.0f);
    check(1.0, 0, 0.8, 0.0f);
    check(1.0, 0, 1e-6, 0.0f);
    check(1.0, 0, 1.0, 0.1f);
    check(1.3, 20, 0.7, 0.0f);
    check(0.9, 30, 0.9, 0.02f);
  }
}

}  // namespace
}  // namespace quire
