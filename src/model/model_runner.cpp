#include "model/model_runner.h"

namespace quire {

std::span<const float> ModelRunner::run(const StepBatch& batch) {
  const float* logits = decoder_->forward(batch);
  logits_.resize(batch.logit_rows.size() * static_cast<std::size_t>(decoder_->config().vocab_size));
  device_->copy_to_host(logits_.data(), reinterpret_cast<const std::byte*>(logits), logits_.size() * sizeof(float));
  return logits_;
}

}  // namespace quire
