#include "engine/step_time.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace quire {
namespace {

constexpr double kMostSurprise = 3;      // an observation counts as at most so many times what was expected
constexpr double kAfterSurprise = 0.5;   // what is left of memory then: it may be out of date
constexpr std::int64_t kNumTrusted = 3;  // observations that are taken as they are
constexpr double kLeastPivot = 1e-4;  // of terms scaled to 1; less: one of them says the same as the others

RecentFit::Terms decode_terms(const StepWork& work) {
  return {1.0, static_cast<double>(work.num_decodes), static_cast<double>(work.decode_keys)};
}

RecentFit::Terms prompt_terms(std::int64_t num_tokens, std::int64_t keys) {
  return {static_cast<double>(num_tokens), static_cast<double>(keys), 0.0};
}

}  // namespace

double RecentFit::predict(const Terms& terms) const {
  double y = 0;
  for (std::size_t i = 0; i < kMaxTerms; ++i) y += coefficients_[i] * terms[i];
  return y;
}

void RecentFit::observe(const Terms& terms, double y, double rest) {
  const double expected = rest + predict(terms);  // of rest + y: little of y alone is known where it is small
  const bool is_trusted = num_observed_ >= kNumTrusted && expected > 0;
  const double scale = is_trusted ? expected : rest + y, weight = 1 / (scale * scale);
  const double least = std::max(0.0, scale / kMostSurprise - rest), most = kMostSurprise * scale - rest;
  const double taken = is_trusted ? std::clamp(y, least, most) : y;
  const double memory = taken == y ? memory_ : memory_ * kAfterSurprise;
  if (!(y >= 0 && scale > 0)) return;  // not for a NaN either
  for (std::size_t i = 0; i < kMaxTerms; ++i) {
    for (std::size_t j = 0; j < kMaxTerms; ++j)
      products_[i][j] = memory * products_[i][j] + weight * terms[i] * terms[j];
    products_with_y_[i] = memory * products_with_y_[i] + weight * terms[i] * taken;
  }
  ++num_observed_;
  solve();
}

// Few terms: the best of all subsets whose coefficients are not negative.
void RecentFit::solve() {
  double best = 0;  // what of the squares of y is explained
  for (unsigned subset = 1; subset < (1u << kMaxTerms); ++subset) {
    Terms solution;
    if (!solve_subset(subset, solution)) continue;
    double explained = 0;
    for (std::size_t i = 0; i < kMaxTerms; ++i) explained += solution[i] * products_with_y_[i];
    if (explained > best * (1 + 1e-9)) best = explained, coefficients_ = solution;
  }
}

// Gaussian elimination of the terms in `subset`, scaled so that the diagonal is 1. False where they are not
// independent, or a coefficient is negative.
bool RecentFit::solve_subset(unsigned subset, Terms& solution) const {
  std::array<std::array<double, kMaxTerms + 1>, kMaxTerms> rows = {};
  std::array<double, kMaxTerms> scale = {};
  for (std::size_t i = 0; i < kMaxTerms; ++i) {
    if (!(subset >> i & 1)) continue;
    if (!(products_[i][i] > 0)) return false;
    scale[i] = 1 / std::sqrt(products_[i][i]);
  }
  for (std::size_t i = 0; i < kMaxTerms; ++i) {
    for (std::size_t j = 0; j < kMaxTerms; ++j) rows[i][j] = products_[i][j] * scale[i] * scale[j];
    rows[i][kMaxTerms] = products_with_y_[i] * scale[i];
    if (scale[i] == 0) rows[i][i] = 1;
  }
  for (std::size_t i = 0; i < kMaxTerms; ++i) {
    if (rows[i][i] < kLeastPivot) return false;
    for (std::size_t k = 0; k < kMaxTerms; ++k) {
      if (k == i) continue;
      const double factor = rows[k][i] / rows[i][i];
      for (std::size_t j = i; j <= kMaxTerms; ++j) rows[k][j] -= factor * rows[i][j];
    }
  }
  for (std::size_t i = 0; i < kMaxTerms; ++i) {
    solution[i] = rows[i][kMaxTerms] / rows[i][i] * scale[i];
    if (solution[i] < 0) return false;
  }
  return true;
}

void StepTimeModel::observe(const StepWork& work, double time_s) {
  if (work.num_prompt_tokens == 0) {
    if (work.num_decodes > 0) decodes_.observe(decode_terms(work), time_s, 0);
    return;
  }
  const double decodes_s = decode_time_s(work);
  const double prompts_s = std::max(0.0, time_s - decodes_s);
  prompts_.observe(prompt_terms(work.num_prompt_tokens, work.prompt_keys), prompts_s, decodes_s);
  most_prompt_tokens_ = std::max(most_prompt_tokens_, work.num_prompt_tokens);
  prompt_token_s_ =
      prompt_time_s(work.num_prompt_tokens, work.prompt_keys) / static_cast<double>(work.num_prompt_tokens);
}

double StepTimeModel::decode_time_s(const StepWork& work) const {
  return decodes_.predict(decode_terms(work));
}

double StepTimeModel::prompt_time_s(std::int64_t num_tokens, std::int64_t keys) const {
  return prompts_.predict(prompt_terms(num_tokens, keys));
}

// n tokens take token_s * n + key_s * (n * computed_len + n * (n + 1) / 2).
std::int64_t StepTimeModel::prompt_tokens_within(double time_s, std::int64_t computed_len) const {
  if (!(time_s > 0) || prompts_.is_empty()) return 0;
  const double key_s = prompts_.coefficients()[1];
  const double linear = prompts_.coefficients()[0] + key_s * (static_cast<double>(computed_len) + 0.5);
  const double most = 2 * static_cast<double>(most_prompt_tokens_);
  // The root of key_s / 2 * n^2 + linear * n = time_s, in a form that holds without keys as well.
  const double root = linear + std::sqrt(linear * linear + 2 * key_s * time_s);
  return static_cast<std::int64_t>(2 * time_s > most * root ? most : 2 * time_s / root);
}

int PromptAllowance::take(int num_wanted, int computed_len) {
  if (model_ == nullptr) return num_wanted;
  const std::int64_t allowed =
      std::max({std::int64_t{1}, num_least_, model_->prompt_tokens_within(time_s_, computed_len)});
  has_cut_ |= allowed < num_wanted;
  const auto num_taken = static_cast<int>(std::min<std::int64_t>(num_wanted, allowed));
  StepWork work;
  work.add_prompt(computed_len, num_taken);
  time_s_ -= model_->prompt_time_s(work.num_prompt_tokens, work.prompt_keys);
  num_least_ = std::max<std::int64_t>(0, num_least_ - num_taken);
  return num_taken;
}

bool PromptAllowance::is_spent() {
  if (model_ == nullptr || num_least_ > 0 || model_->prompt_tokens_within(time_s_, 0) > 0) return false;
  has_cut_ = true;
  return true;
}

}  // namespace quire
