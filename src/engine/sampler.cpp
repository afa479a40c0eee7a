#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/check.h"
#include "engine/philox.h"
#include "engine/softmax.h"

namespace quire {
namespace {

constexpr float kNegInf = -std::numeric_limits<float>::infinity();

// The order of tokens everywhere: higher value first, lower id first among equals.
constexpr auto kLikelier = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

bool needs_penalties(const SamplingParams& params) {
  return params.repetition_penalty != 1.0 || params.frequency_penalty != 0.0 ||
         params.presence_penalty != 0.0;
}

}  // namespace

float draw_scale(const SamplingParams& params) {
  return is_greedy(params) ? 0.0f : static_cast<float>(std::numbers::log2e / params.temperature);
}

TokenDraw token_draw(const Request& request, std::int32_t num_tokens) {
  const SamplingParams& params = request.params;
  TokenDraw draw;
  draw.random = random_bits(request.seed, static_cast<std::uint64_t>(num_tokens - request.prompt_len));
  if (params.top_p < 1.0)
    draw.top_p = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ldexp(params.top_p, 64)));
  draw.scale = draw_scale(params);
  draw.min_weight = static_cast<float>(params.min_p);
  if (params.top_k > 0) draw.top_k = static_cast<std::int32_t>(params.top_k);
  return draw;
}

std::int32_t runner_draws_from(const Request& request) {
  const SamplingParams& params = request.params;
  constexpr std::int64_t kNever = std::numeric_limits<std::int32_t>::max();
  if (params.logprobs || params.prompt_logprobs || !params.logit_bias.empty() || needs_penalties(params)) {
    return static_cast<std::int32_t>(kNever);
  }
  if (request.end_tokens.empty()) return 0;
  return static_cast<std::int32_t>(std::min(request.prompt_len + params.min_tokens, kNever));
}

Sampler::Sampler(int vocab_size) : vocab_size_(static_cast<std::size_t>(vocab_size)) {
  QUIRE_CHECK(vocab_size >= 1, "vocab_size is {}, must be at least 1", vocab_size);
  output_counts_.resize(vocab_size_);
  is_seen_.resize(vocab_size_);
}

SampledToken Sampler::sample(std::span<const float> logits, const Request& request) {
  QUIRE_CHECK_KIND(kInternal, logits.size() == vocab_size_, "a row of {} logits for a vocabulary of {}",
                   logits.size(), vocab_size_);
  const std::span<const float> processed = process(logits, request);
  const float max = scan_logits(processed, block_max_);
  SampledToken sampled;
  sampled.token = draw_from(
      processed, max, is_greedy(request.params) ? TokenDraw{} : token_draw(request, request.num_tokens()));
  if (request.params.logprobs) {
    sampled.logprobs = logprobs_of(logits, sampled.token, static_cast<std::size_t>(*request.params.logprobs));
  }
  return sampled;
}

// The row itself when nothing applies; else a changed copy.
std::span<const float> Sampler::process(std::span<const float> logits, const Request& request) {
  const SamplingParams& params = request.params;
  const bool must_go_on = request.output_len() < params.min_tokens && !request.end_tokens.empty();
  if (!must_go_on && params.logit_bias.empty() && !needs_penalties(params)) return logits;
  processed_.assign(logits.begin(), logits.end());
  for (const auto& [token, bias] : params.logit_bias) {
    processed_[static_cast<std::size_t>(token)] += static_cast<float>(bias);
  }
  if (needs_penalties(params)) penalize(request);
  if (must_go_on) {
    for (const std::int32_t token : request.end_tokens) {
      const auto idx =
          static_cast<std::size_t>(token);  // stop tokens outside the vocabulary can never be drawn
      if (token >= 0 && idx < vocab_size_) processed_[idx] = kNegInf;
    }
  }
  return processed_;
}

void Sampler::penalize(const Request& request) {
  const SamplingParams& params = request.params;
  const std::span<const std::int32_t> tokens = request.tokens;
  const auto prompt_len = static_cast<std::size_t>(request.prompt_len);
  for (const std::int32_t token : tokens.subspan(prompt_len))
    ++output_counts_[static_cast<std::size_t>(token)];
  const auto repetition = static_cast<float>(params.repetition_penalty);
  for (const std::int32_t token : tokens) {
    const auto idx = static_cast<std::size_t>(token);
    if (is_seen_[idx]) continue;
    is_seen_[idx] = 1;
    float& logit = processed_[idx];
    logit = logit > 0.0f ? logit / repetition : logit * repetition;
    const auto count = static_cast<float>(output_counts_[idx]);
    logit -= static_cast<float>(params.frequency_penalty) * count;
    if (count > 0.0f) logit -= static_cast<float>(params.presence_penalty);
  }
  for (const std::int32_t token : tokens) {
    is_seen_[static_cast<std::size_t>(token)] = 0;
    output_counts_[static_cast<std::size_t>(token)] = 0;
  }
}

std::int32_t Sampler::draw(std::span<const float> logits, const TokenDraw& draw) {
  QUIRE_CHECK_KIND(kInternal, logits.size() == vocab_size_, "a row of {} logits for a vocabulary of {}",
                   logits.size(), vocab_size_);
  return draw_from(logits, scan_logits(logits, block_max_), draw);
}

// Keeping the order of token ids on every path means that a tiny change of a logit moves a draw only across a
// neighbouring boundary.
std::int32_t Sampler::draw_from(std::span<const float> logits, float max, const TokenDraw& draw) {
  if (draw.scale == 0.0f) return first_index_of(max, logits, block_max_);
  std::uint64_t total = 0;
  if (draw.top_k > 0 && static_cast<std::size_t>(draw.top_k) < vocab_size_) {
    select_top(logits, static_cast<std::size_t>(draw.top_k));
    weights_.resize(vocab_size_);
    for (const Candidate& candidate : candidates_) {
      const float weight = exp2_nonpositive((candidate.logit - max) * draw.scale);
      weights_[static_cast<std::size_t>(candidate.token)] = weight < draw.min_weight ? 0.0f : weight;
      total += units(candidate.token);
    }
  } else {
    total = exponentiate(logits, max, draw.scale, draw.min_weight, weights_, block_units_);
    if (draw.top_p == 0) return draw_from_row(multiply_high(draw.random, total));
    // All tokens below (1 - p) / V together miss the mass 1 - p, so the nucleus lies above; the half covers
    // rounding.
    const double rest = 1.0 - std::ldexp(static_cast<double>(draw.top_p), -64);
    gather_weights(logits,
                   static_cast<float>(0.5 * rest * std::ldexp(static_cast<double>(total), -kWeightBits) /
                                      static_cast<double>(vocab_size_)));
  }
  if (draw.top_p > 0)
    keep_nucleus(
        std::max<std::uint64_t>(1, multiply_high(draw.top_p, total) + (draw.top_p * total != 0 ? 1 : 0)));
  return draw_from_candidates(draw.random);
}

// `target` is below the sum of all weights.
std::int32_t Sampler::draw_from_row(std::uint64_t target) const {
  std::size_t block = 0;
  for (; target >= block_units_[block]; ++block) target -= block_units_[block];
  auto token = static_cast<std::int32_t>(block * kLogitBlock);
  for (; target >= units(token); ++token) target -= units(token);
  return token;
}

std::int32_t Sampler::draw_from_candidates(std::uint64_t random) {
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  std::uint64_t total = 0;
  for (const Candidate& candidate : candidates_) total += units(candidate.token);
  std::uint64_t target = multiply_high(random, total);
  auto candidate = candidates_.begin();
  for (; target >= units(candidate->token); ++candidate) target -= units(candidate->token);
  return candidate->token;
}

// The `num_wanted` likeliest tokens into candidates_, with their logits, in no order. Needs block_max_ of
// these logits.
void Sampler::select_top(std::span<const float> logits, std::size_t num_wanted) {
  candidates_.clear();
  if (num_wanted == 0) return;
  // The k-th largest block maximum is a lower bound of the k-th largest logit: most blocks need not be looked
  // at.
  float bound = kNegInf;
  if (num_wanted <= block_max_.size()) {
    block_order_ = block_max_;
    const auto kth = block_order_.begin() + static_cast<std::ptrdiff_t>(num_wanted) - 1;
    std::nth_element(block_order_.begin(), kth, block_order_.end(), std::greater<>());
    bound = *kth;
  }
  for (std::size_t block = 0; block < block_max_.size(); ++block) {
    if (block_max_[block] < bound) continue;
    const std::size_t end = std::min((block + 1) * kLogitBlock, logits.size());
    for (std::size_t i = block * kLogitBlock; i < end; ++i) {
      if (logits[i] >= bound) candidates_.push_back({logits[i], static_cast<std::int32_t>(i)});
    }
  }
  if (candidates_.size() <= num_wanted) return;
  const auto cut = candidates_.begin() + static_cast<std::ptrdiff_t>(num_wanted);
  std::nth_element(candidates_.begin(), cut - 1, candidates_.end(), kLikelier);
  candidates_.erase(cut, candidates_.end());
}

void Sampler::gather_weights(std::span<const float> logits, float min_weight) {
  candidates_.clear();
  const auto min_units = static_cast<std::uint64_t>(std::ldexp(min_weight, kWeightBits) / 2.0f);
  for (std::size_t block = 0; block < block_units_.size(); ++block) {
    if (block_units_[block] < min_units) continue;
    const std::size_t end = std::min((block + 1) * kLogitBlock, weights_.size());
    for (std::size_t i = block * kLogitBlock; i < end; ++i) {
      if (weights_[i] > 0.0f && weights_[i] >= min_weight) {
        candidates_.push_back({logits[i], static_cast<std::int32_t>(i)});
      }
    }
  }
}

// Keeps the likeliest candidates until together they hold `mass`. A heap finds them without sorting the rest.
void Sampler::keep_nucleus(std::uint64_t mass) {
  const auto is_less_likely = [](const Candidate& a, const Candidate& b) { return kLikelier(b, a); };
  std::make_heap(candidates_.begin(), candidates_.end(), is_less_likely);
  auto heap_end = candidates_.end();
  std::uint64_t kept = 0;
  while (heap_end != candidates_.begin()) {
    std::pop_heap(candidates_.begin(), heap_end, is_less_likely);
    kept += units((--heap_end)->token);
    if (kept >= mass) break;
  }
  candidates_.erase(candidates_.begin(), heap_end);
}

TokenLogprobs Sampler::logprobs_of(std::span<const float> logits, std::int32_t token, std::size_t num_top) {
  const float max = scan_logits(logits, block_max_);
  const auto sum = static_cast<double>(
      exponentiate(logits, max, std::numbers::log2e_v<float>, 0.0f, weights_, block_units_));
  const double log_sum = std::log(std::ldexp(sum, -kWeightBits)) + max;
  const auto logprob = [log_sum](float logit) {
    return static_cast<float>(static_cast<double>(logit) - log_sum);
  };
  const float chosen = logits[static_cast<std::size_t>(token)];
  TokenLogprobs result;
  result.chosen = {token, logprob(chosen)};
  result.rank = 1 + static_cast<std::int32_t>(std::count_if(
                        logits.begin(), logits.end(), [chosen](float logit) { return logit > chosen; }));
  select_top(logits, std::min(num_top, vocab_size_));
  std::sort(candidates_.begin(), candidates_.end(), kLikelier);
  for (const Candidate& candidate : candidates_)
    result.top.push_back({candidate.token, logprob(candidate.logit)});
  return result;
}

}  // namespace quire
