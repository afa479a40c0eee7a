#include "model/model_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/params.h"

namespace quire {

static_assert(kTokenOfNan == kTokenIsNan && kTokenOfInfinity == kTokenIsInfinite &&
              kTokenOfNone == kTokenIsMissing);

void ModelRunner::start(const StepBatch& batch) {
  QUIRE_CHECK_KIND(kInternal, started_.size() < (runs_ahead_ ? 2u : 1u), "{} steps are under way",
                   started_.size());
  decoder_->forward(batch);
  StartedStep step{batch.wants_logits, next_copy_, false, 0};
  const std::size_t num_rows = batch.logit_rows.size();
  step.has_tokens =
      std::any_of(step.wants_logits.begin(), step.wants_logits.end(), [](int wants) { return wants == 0; });
  if (step.has_tokens) {
    std::unique_ptr<HostCopy>& copy = copies_[next_copy_];
    if (copy_rows_[next_copy_] < num_rows) {
      copy_rows_[next_copy_] = std::max(num_rows, 2 * copy_rows_[next_copy_]);
      copy = device_->make_host_copy(copy_rows_[next_copy_] * sizeof(std::int32_t));
    }
    copy->start(reinterpret_cast<const std::byte*>(decoder_->tokens()), num_rows * sizeof(std::int32_t));
    next_copy_ = 1 - next_copy_;
  }
  start_logits_copy(step);
  started_.push_back(std::move(step));
}

void ModelRunner::start_logits_copy(StartedStep& step) {
  const auto first = std::find(step.wants_logits.begin(), step.wants_logits.end(), 1);
  const auto end = std::find(first, step.wants_logits.end(), 0);
  if (first == end || std::find(end, step.wants_logits.end(), 1) != step.wants_logits.end()) return;
  step.num_copied_rows = static_cast<std::size_t>(end - first);
  const auto vocab_size = static_cast<std::size_t>(decoder_->config().vocab_size);
  if (logits_copy_rows_ < step.num_copied_rows) {
    logits_copy_rows_ = std::max(step.num_copied_rows, 2 * logits_copy_rows_);
    logits_copy_ = device_->make_host_copy(logits_copy_rows_ * vocab_size * sizeof(float));
  }
  const float* from =
      decoder_->logits() + static_cast<std::size_t>(first - step.wants_logits.begin()) * vocab_size;
  logits_copy_->start(reinterpret_cast<const std::byte*>(from),
                      step.num_copied_rows * vocab_size * sizeof(float));
}

StepResult ModelRunner::finish() {
  QUIRE_CHECK_KIND(kInternal, !started_.empty(), "no step is under way");
  const StartedStep step = std::move(started_.front());
  started_.pop_front();
  tokens_.assign(step.wants_logits.size(), 0);
  if (step.has_tokens)
    std::memcpy(tokens_.data(), copies_[step.copy_idx]->wait(), tokens_.size() * sizeof(std::int32_t));
  const std::span<const float> logits = wanted_logits(step);
  return {tokens_, decoder_->config().logits_soft_cap > 0 ? capped(logits) : logits};
}

std::span<const float> ModelRunner::capped(std::span<const float> logits) {
  const auto cap = static_cast<float>(decoder_->config().logits_soft_cap);
  if (logits.data() != logits_.data()) logits_.assign(logits.begin(), logits.end());
  for (float& x : logits_) x = cap * std::tanh(x / cap);
  return logits_;
}

std::span<const float> ModelRunner::wanted_logits(const StartedStep& step) {
  const auto vocab_size = static_cast<std::size_t>(decoder_->config().vocab_size);
  const std::vector<std::uint8_t>& wants = step.wants_logits;
  if (step.num_copied_rows > 0)
    return {reinterpret_cast<const float*>(logits_copy_->wait()), step.num_copied_rows * vocab_size};
  logits_.resize(static_cast<std::size_t>(std::count(wants.begin(), wants.end(), 1)) * vocab_size);
  float* to = logits_.data();
  for (std::size_t row = 0; row < wants.size(); ++row) {
    if (wants[row] == 0) continue;
    device_->copy_to_host(to, reinterpret_cast<const std::byte*>(decoder_->logits() + row * vocab_size),
                          vocab_size * sizeof(float));
    to += vocab_size;
  }
  return logits_;
}

}  // namespace quire
