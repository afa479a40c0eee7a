#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "base/error.h"
#include "engine/philox.h"
#include "engine/softmax.h"

namespace quire {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

Request make_request(double temperature = 0.0) {
  Request request;
  request.tokens = {0};
  request.prompt_len = 1;
  request.params.temperature = temperature;
  return request;
}

std::vector<float> random_logits(std::mt19937& random, int vocab_size, float spread) {
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> logits(static_cast<std::size_t>(vocab_size));
  for (float& logit : logits) logit = normal(random);
  return logits;
}

TEST(Philox, MatchesPublishedVectors) {  // of the Random123 distribution, philox4x32-10
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Softmax, ExponentialIsAccurate) {
  double worst = 0.0;
  for (double x = -126.0; x <= 0.0; x += 0.0007) {
    const auto argument = static_cast<float>(x);
    const double exact = std::exp2(static_cast<double>(argument));
    worst = std::max(worst, std::abs(exp2_nonpositive(argument) - exact) / exact);
  }
  EXPECT_LT(worst, 3e-7);
  EXPECT_EQ(exp2_nonpositive(0.0f), 1.0f);
  EXPECT_EQ(exp2_nonpositive(-127.0f), 0.0f);
  EXPECT_EQ(exp2_nonpositive(-kInf), 0.0f);
}

TEST(Softmax, SumsAreExact) {
  std::mt19937 random(9);
  std::vector<float> weights;
  std::vector<std::uint64_t> block_units;
  for (const int vocab_size : {1, 63, 64, 65, 1000, 262144}) {
    std::vector<float> logits = random_logits(random, vocab_size, 8.0f);
    logits[0] = 40.0f;
    const std::uint64_t total = exponentiate(logits, 40.0f, 1.0f, 0.0f, weights, block_units);
    std::uint64_t expected = 0, blocks = 0;
    for (const float weight : weights) expected += static_cast<std::uint64_t>(std::nearbyint(std::ldexp(static_cast<double>(weight), kWeightBits)));
    for (const std::uint64_t units : block_units) blocks += units;
    EXPECT_EQ(total, expected);
    EXPECT_EQ(total, blocks);
  }
  EXPECT_EQ(weight_units(1.0f), std::uint64_t{1} << kWeightBits);
  EXPECT_EQ(weight_units(0x1p-41f), 0u);
  EXPECT_EQ(weight_units(0x1.8p-40f), 2u);
}

TEST(Sampler, GreedyTakesTheLowestOfTheHighest) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    const int vocab_size = 1 + static_cast<int>(random() % 300);
    std::vector<float> logits(static_cast<std::size_t>(vocab_size));
    for (float& logit : logits) logit = static_cast<float>(random() % 5) - 2.0f;
    Sampler sampler(vocab_size);
    const auto expected = std::max_element(logits.begin(), logits.end()) - logits.begin();
    ASSERT_EQ(sampler.sample(logits, make_request()).token, expected);
  }
}

TEST(Sampler, LogitsThatAreNotFiniteAreAnError) {
  for (const double temperature : {0.0, 1.0}) {
    for (const std::size_t at : {0u, 15u, 63u, 64u, 99u}) {
      Sampler sampler(100);
      std::vector<float> logits(100, 1.0f);
      logits[at] = kNan;
      EXPECT_THROW(sampler.sample(logits, make_request(temperature)), Error);
      logits[at] = kInf;
      EXPECT_THROW(sampler.sample(logits, make_request(temperature)), Error);
      logits.assign(100, -kInf);
      EXPECT_THROW(sampler.sample(logits, make_request(temperature)), Error);
      logits[at] = 0.5f;
      EXPECT_EQ(sampler.sample(logits, make_request(temperature)).token, static_cast<int>(at));
    }
  }
  Sampler sampler(100);
  EXPECT_THROW(sampler.sample(std::vector<float>(99), make_request()), Error);
}

// The distribution as it is defined, by sorting everything, in float64.
std::vector<double> expected_distribution(const std::vector<float>& logits, const SamplingParams& params) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); });
  std::vector<double> weights(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    weights[i] = std::exp((static_cast<double>(logits[i]) - logits[order[0]]) / params.temperature);
    if (weights[i] < params.min_p) weights[i] = 0.0;
  }
  if (params.top_k > 0) {
    for (std::size_t i = static_cast<std::size_t>(params.top_k); i < order.size(); ++i)
      weights[order[i]] = 0.0;
  }
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double mass = 0.0;
  for (const std::size_t i : order) {
    if (mass >= params.top_p * total && params.top_p < 1.0) weights[i] = 0.0;
    mass += weights[i];
  }
  const double kept = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= kept;
  return weights;
}

// Draws many times with different seeds; the counts must fit the expected probabilities (chi-square), and a
// token of probability 0 must never come. The critical value is far out (about 6 standard deviations): the
// seeds are fixed anyway.
void check_distribution(const std::vector<float>& logits, const SamplingParams& params, const char* what) {
  const std::vector<double> expected = expected_distribution(logits, params);
  Sampler sampler(static_cast<int>(logits.size()));
  Request request = make_request();
  request.params = params;
  constexpr int kNumDraws = 5000;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < kNumDraws; ++i) {
    request.seed = static_cast<std::uint64_t>(i % 100);
    request.tokens.resize(static_cast<std::size_t>(1 + i / 100));
    ++counts[static_cast<std::size_t>(sampler.sample(logits, request).token)];
  }
  double chi_square = 0.0, rest_expected = 0.0;
  int num_cells = 0, rest_count = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    ASSERT_FALSE(expected[i] == 0.0 && counts[i] > 0) << what << ": token " << i << " cannot come";
    const double mean = expected[i] * kNumDraws;
    if (mean < 10.0) {
      rest_expected += mean;
      rest_count += counts[i];
      continue;
    }
    chi_square += (counts[i] - mean) * (counts[i] - mean) / mean;
    ++num_cells;
  }
  if (rest_expected > 5.0) {
    chi_square += (rest_count - rest_expected) * (rest_count - rest_expected) / rest_expected;
    ++num_cells;
  }
  const double freedom = std::max(1, num_cells - 1);
  EXPECT_LT(chi_square, freedom + 6.0 * std::sqrt(2.0 * freedom) + 6.0)
      << what << ", " << num_cells << " cells";
}

TEST(Sampler, DrawsFromTheDistribution) {
  std::mt19937 random(5);
  for (const int vocab_size : {3, 40, 300, 1500}) {
    const std::vector<float> logits = random_logits(random, vocab_size, 2.0f);
    const auto check = [&](const char* what, double temperature, std::int64_t top_k, double top_p,
                           double min_p) {
      SamplingParams params;
      params.temperature = temperature;
      params.top_k = top_k;
      params.top_p = top_p;
      params.min_p = min_p;
      check_distribution(logits, params, what);
    };
    check("plain", 1.0, 0, 1.0, 0.0);
    check("cold", 0.3, -1, 1.0, 0.0);
    check("hot", 2.0, 0, 1.0, 0.0);
    check("top_k", 1.0, 5, 1.0, 0.0);
    check("top_k of one", 1.0, 1, 1.0, 0.0);
    check("top_k beyond the vocabulary", 1.0, 5000, 1.0, 0.0);
    check("top_p", 1.0, 0, 0.8, 0.0);
    check("tiny top_p", 1.0, 0, 1e-6, 0.0);
    check("min_p", 1.0, 0, 1.0, 0.1);
    check("top_k and top_p", 1.3, 20, 0.7, 0.0);
    check("all of them", 0.9, 30, 0.9, 0.02);
    check("min_p and top_p", 0.9, 0, 0.9, 0.05);
  }
}

// Which tokens can come at all, found by drawing at the middle of each expected interval of the uniform
// variable, is hard to see from draws alone when the vocabulary is large: so here the draw itself is
// predicted.
TEST(Sampler, EveryDrawInvertsTheDistributionInTokenOrder) {
  std::mt19937 random(6);
  int num_near_a_boundary = 0;
  for (int round = 0; round < 1500; ++round) {
    const int vocab_size = 1 + static_cast<int>(random() % 2000);
    const std::vector<float> logits =
        random_logits(random, vocab_size, 1.0f + static_cast<float>(random() % 4));
    Request request = make_request(0.2 + static_cast<double>(random() % 18) / 10.0);
    if (random() % 2) request.params.top_k = 1 + static_cast<int>(random() % 100);
    if (random() % 2) request.params.top_p = static_cast<double>(1 + random() % 99) / 100.0;
    if (random() % 3 == 0) request.params.min_p = static_cast<double>(random() % 50) / 100.0;
    request.seed = random();
    const double uniform = random_uniform(request.seed, 0);
    const std::vector<double> expected = expected_distribution(logits, request.params);
    Sampler sampler(vocab_size);
    const auto token = static_cast<std::size_t>(sampler.sample(logits, request).token);
    double below = 0.0;
    for (std::size_t i = 0; i < token; ++i) below += expected[i];
    constexpr double kSlack = 2e-6;  // of float32 weights against float64
    num_near_a_boundary += uniform < below + kSlack || uniform > below + expected[token] - kSlack;
    if (expected[token] == 0.0) continue;  // counted above: a cut that fell on the other side of a rounding
    EXPECT_GE(uniform, below - kSlack);
    EXPECT_LE(uniform, below + expected[token] + kSlack);
  }
  EXPECT_LT(num_near_a_boundary, 10);
}

TEST(Sampler, TiesAreCutByTokenOrder) {
  std::vector<float> logits(200, 1.0f);
  logits[150] = 2.0f;
  Sampler sampler(200);
  std::set<int> seen;
  Request request = make_request(1.0);
  request.params.top_k = 4;
  for (request.seed = 0; request.seed < 500; ++request.seed)
    seen.insert(sampler.sample(logits, request).token);
  EXPECT_EQ(seen, (std::set<int>{0, 1, 2, 150}));
  seen.clear();
  request.params.top_k = 0;
  request.params.top_p = (std::exp(1.0) + 2.5) / (std::exp(1.0) + 199.0);
  for (request.seed = 0; request.seed < 500; ++request.seed)
    seen.insert(sampler.sample(logits, request).token);
  EXPECT_EQ(seen, (std::set<int>{0, 1, 2, 150}));
}

TEST(Sampler, DrawsDependOnSeedAndPositionOnly) {
  std::mt19937 random(7);
  const std::vector<float> logits = random_logits(random, 500, 1.0f),
                           other = random_logits(random, 500, 1.0f);
  Request request = make_request(1.0);
  request.seed = 11;
  Sampler fresh(500), used(500);
  Request noise = make_request(0.7);
  noise.params.top_p = 0.5;
  noise.params.repetition_penalty = 2.0;
  noise.params.logprobs = 5;
  std::set<int> tokens;
  for (int i = 0; i < 50; ++i) {
    used.sample(other, noise);
    const int token = fresh.sample(logits, request).token;
    EXPECT_EQ(used.sample(logits, request).token, token);
    tokens.insert(token);
    request.append(0);
  }
  EXPECT_GT(tokens.size(), 10u);
}

TEST(Sampler, Penalties) {
  const std::vector<float> logits = {3.0f, 2.9f, 2.8f, -1.0f};
  Request request = make_request();
  request.tokens = {0, 1, 1, 2};  // prompt 0; output 1, 1, 2
  Sampler sampler(4);
  EXPECT_EQ(sampler.sample(logits, request).token, 0);
  request.params.repetition_penalty = 1.5;  // all positive ones down to about 2; -1 is not in the history
  EXPECT_EQ(sampler.sample(logits, request).token, 0);
  request.params.repetition_penalty = 1.0;
  request.params.frequency_penalty = -0.2;  // 1 gets 2 * 0.2
  EXPECT_EQ(sampler.sample(logits, request).token, 1);
  request.params.frequency_penalty = 0.0;
  request.params.presence_penalty = -0.5;  // 1 and 2 get 0.5 each, the prompt's 0 nothing
  EXPECT_EQ(sampler.sample(logits, request).token, 1);
  request.params.presence_penalty = 0.0;
  request.params.logit_bias = {{3, 5.0}};
  EXPECT_EQ(sampler.sample(logits, request).token, 3);
  const std::vector<float> negative = {-1.0f, -1.1f, -5.0f, -5.0f};
  request = make_request();
  request.params.repetition_penalty = 1.2;  // token 0 stands in the prompt: -1.2
  EXPECT_EQ(sampler.sample(negative, request).token, 1);
}

TEST(Sampler, NoEndTokenBeforeMinTokens) {
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f};
  Request request = make_request();
  request.end_tokens = {-7, 1, 99};  // ids outside the vocabulary do no harm
  request.params.min_tokens = 2;
  Sampler sampler(3);
  EXPECT_EQ(sampler.sample(logits, request).token, 2);
  request.append(2);
  EXPECT_EQ(sampler.sample(logits, request).token, 2);
  request.append(2);
  EXPECT_EQ(sampler.sample(logits, request).token, 1);
}

TEST(Sampler, LogprobsAreOfTheRawLogits) {
  std::mt19937 random(8);
  for (int round = 0; round < 200; ++round) {
    const int vocab_size = 1 + static_cast<int>(random() % 400);
    const std::vector<float> logits = random_logits(random, vocab_size, 3.0f);
    Request request = make_request(0.5);
    request.params.logit_bias = {{0, 50.0}};
    request.params.logprobs = random() % 25;
    Sampler sampler(vocab_size);
    const SampledToken sampled = sampler.sample(logits, request);
    ASSERT_EQ(sampled.token, 0);
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const auto exact = [&](int token) { return logits[static_cast<std::size_t>(token)] - std::log(sum); };
    ASSERT_TRUE(sampled.logprobs);
    EXPECT_EQ(sampled.logprobs->chosen.token, 0);
    EXPECT_NEAR(sampled.logprobs->chosen.logprob, exact(0), 1e-5);
    std::vector<int> order(static_cast<std::size_t>(vocab_size));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return exact(a) > exact(b); });
    EXPECT_EQ(sampled.logprobs->rank, 1 + std::find(order.begin(), order.end(), 0) - order.begin());
    const auto num_top =
        std::min<std::size_t>(order.size(), static_cast<std::size_t>(*request.params.logprobs));
    ASSERT_EQ(sampled.logprobs->top.size(), num_top);
    for (std::size_t i = 0; i < num_top; ++i) {
      EXPECT_EQ(sampled.logprobs->top[i].token, order[i]);
      EXPECT_NEAR(sampled.logprobs->top[i].logprob, exact(order[i]), 1e-5);
    }
  }
}

}  // namespace
}  // namespace quire
