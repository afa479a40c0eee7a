// Draws one token from one row of logits. A draw depends only on the row, the request's own tokens, its
// parameters and (seed, number of the output token), never on batch mates, steps or preemption.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"
#include "engine/softmax.h"
#include "engine/token_draw.h"
#include "quire/output.h"

namespace quire {

struct SampledToken {
  std::int32_t token = 0;
  std::optional<TokenLogprobs> logprobs;  // when the request asks for them
};

// Of how many tokens on the tokens of a checked request follow from the logits by a TokenDraw, and nothing is
// reported of the others; the greatest number if never.
std::int32_t runner_draws_from(const Request& request);

// See TokenDraw; of checked parameters.
float draw_scale(const SamplingParams& params);

class Sampler {
 public:
  explicit Sampler(int vocab_size);

  // `logits` [vocab_size]. Throws Error{kInternal} when they are not finite: the request has to end, others
  // go on.
  SampledToken sample(std::span<const float> logits, const Request& request);

  // The likeliest token, or one drawn at random. Throws likewise.
  std::int32_t draw(std::span<const float> logits, const TokenDraw& draw);

  // The log-softmax of `logits` at `token` and at the `num_top` most likely ones. Throws like `sample`.
  TokenLogprobs logprobs_of(std::span<const float> logits, std::int32_t token, std::size_t num_top);

 private:
  struct Candidate {
    float logit;
    std::int32_t token;
  };

  std::span<const float> process(std::span<const float> logits, const Request& request);
  void penalize(const Request& request);
  std::int32_t draw_from(std::span<const float> logits, float max, const TokenDraw& draw);
  std::int32_t draw_from_row(std::uint64_t target) const;
  std::int32_t draw_from_candidates(std::uint64_t random);
  void select_top(std::span<const float> logits, std::size_t num_wanted);
  void gather_weights(std::span<const float> logits, float min_weight);
  void keep_nucleus(std::uint64_t mass);
  std::uint64_t units(std::int32_t token) const {
    return weight_units(weights_[static_cast<std::size_t>(token)]);
  }

  std::size_t vocab_size_;
  // Scratch, reused for each row.
  std::vector<float> processed_;
  std::vector<std::int32_t> output_counts_;  // [vocab_size], all 0 between calls
  std::vector<char> is_seen_;                // [vocab_size], all 0 between calls
  std::vector<float> block_max_;
  std::vector<float> block_order_;
  std::vector<float> weights_;              // by token; where there is a top_k, of candidates only
  std::vector<std::uint64_t> block_units_;  // sums of weights_
  std::vector<Candidate> candidates_;
};

}  // namespace quire
