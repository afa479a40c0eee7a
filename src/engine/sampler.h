// From one row of logits to one token. Every decision depends on the row, the request's own tokens, its
// parameters and (seed, number of the output token) alone: never on batch mates, steps or preemption.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"
#include "quire/output.h"

namespace quire {

struct SampledToken {
  std::int32_t token = 0;
  std::optional<TokenLogprobs> logprobs;  // when the request asks for them
};

// Of how many tokens on a checked request draws the likeliest token and reports nothing of the others; the greatest number if never.
std::int32_t likeliest_from(const Request& request);

class Sampler {
 public:
  explicit Sampler(int vocab_size);

  // `logits` [vocab_size]. Throws Error{kInternal} when they are not finite: the request has to end, others
  // go on.
  SampledToken sample(std::span<const float> logits, const Request& request);

  // The log-softmax of `logits` at `token` and at the `num_top` most likely ones. Throws like `sample`.
  TokenLogprobs logprobs_of(std::span<const float> logits, std::int32_t token, std::size_t num_top);

 private:
  struct Candidate {
    float value;  // a logit or a weight
    std::int32_t token;
  };

  std::span<const float> process(std::span<const float> logits, const Request& request);
  void penalize(const Request& request);
  std::int32_t draw(std::span<const float> logits, float max, const Request& request);
  std::int32_t draw_from_row(double uniform) const;
  std::int32_t draw_from_candidates(double uniform);
  void select_top(std::span<const float> logits, std::size_t num_wanted);
  void gather_weights(float min_weight);
  void keep_nucleus(double mass);

  std::size_t vocab_size_;
  // Scratch, reused for each row.
  std::vector<float> processed_;
  std::vector<std::int32_t> output_counts_;  // [vocab_size], all 0 between calls
  std::vector<char> is_seen_;                // [vocab_size], all 0 between calls
  std::vector<float> block_max_;
  std::vector<float> block_order_;
  std::vector<float> weights_;
  std::vector<double> block_sum_;
  double total_ = 0.0;  // of weights_
  std::vector<Candidate> candidates_;
};

}  // namespace quire
