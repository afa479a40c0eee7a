// How long steps take on this device, learned from earlier steps, and how much of a step prompts may take, so
// that requests which are being answered do not wait for them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace quire {

// What the time of a step depends on.
struct StepWork {
  std::int64_t num_decodes = 0;        // requests of which one token is computed, and the next one drawn
  std::int64_t decode_keys = 0;        // that these tokens see, over all requests
  std::int64_t num_prompt_tokens = 0;  // all others
  std::int64_t prompt_keys = 0;        // that these see, over all tokens

  void add_decode(std::int64_t computed_len) {
    ++num_decodes;
    decode_keys += computed_len + 1;
  }
  void add_prompt(std::int64_t computed_len, std::int64_t num_tokens) {
    num_prompt_tokens += num_tokens;
    prompt_keys += num_tokens * computed_len + num_tokens * (num_tokens + 1) / 2;
  }
};

// y = sum of coefficients, none negative, times terms: least squares of relative errors, in which older
// observations count less and less. One that is far from what is expected counts as one a few times as large
// or small, and makes what is remembered weigh less: an interruption changes little, a change that lasts is
// followed within some observations.
class RecentFit {
 public:
  static constexpr std::size_t kMaxTerms = 3;
  using Terms = std::array<double, kMaxTerms>;  // those of no use are 0

  // `memory`: the part of its weight that an observation keeps when the next one comes, in (0, 1).
  explicit RecentFit(double memory) : memory_(memory) {}

  bool is_empty() const { return num_observed_ == 0; }
  double predict(const Terms& terms) const;
  // Errors count relative to rest + y, where `rest` is the part of what was measured that other terms
  // explain.
  // A y below 0 and one of 0 with no rest are passed over.
  void observe(const Terms& terms, double y, double rest);
  const Terms& coefficients() const { return coefficients_; }

 private:
  void solve();
  bool solve_subset(unsigned subset, Terms& solution) const;

  double memory_;
  std::int64_t num_observed_ = 0;
  std::array<Terms, kMaxTerms> products_ = {};  // weighted sums of products of terms, and of terms with y
  Terms products_with_y_ = {};
  Terms coefficients_ = {};
};

// time of a step = time of its decodes (constant, for each, for their keys) + time of its prompts (for each
// token, for their keys). The first part is learned from steps of decodes alone, the second from what others
// take beyond it; each has a memory of its own, so that a thousand decode steps do not wear out what is known
// of prompts.
class StepTimeModel {
 public:
  void observe(const StepWork& work, double time_s);

  double decode_time_s(const StepWork& work) const;  // without prompts; 0 while nothing is known
  double prompt_time_s(std::int64_t num_tokens, std::int64_t keys) const;
  double prompt_token_s() const { return prompt_token_s_; }  // of the last prompts that were observed

  // The most tokens of a prompt, behind computed_len others, that are expected to take no more than time_s.
  // At most twice as many as have been seen in one step: nothing is known of how larger ones behave.
  std::int64_t prompt_tokens_within(double time_s, std::int64_t computed_len) const;

 private:
  RecentFit decodes_{0.98}, prompts_{0.95};
  std::int64_t most_prompt_tokens_ = 0;
  double prompt_token_s_ = 0;
};

// How many tokens of prompts may be computed in one step.
class PromptAllowance {
 public:
  // Tokens that are allowed in any step, about a page: prompts get on whatever the decodes take.
  static constexpr std::int64_t kLeastTokens = 16;

  PromptAllowance() = default;  // no bound
  PromptAllowance(const StepTimeModel& model, double time_s) : model_(&model), time_s_(time_s) {}

  // Takes up to `num_wanted` tokens of a prompt behind computed_len others; returns how many, at least one.
  int take(int num_wanted, int computed_len);
  bool is_spent();                           // waiting requests cannot start in this step
  bool has_cut() const { return has_cut_; }  // some request got fewer tokens than it wanted

 private:
  const StepTimeModel* model_ = nullptr;
  double time_s_ = 0;
  std::int64_t num_least_ = kLeastTokens;
  bool has_cut_ = false;
};

}  // namespace quire
