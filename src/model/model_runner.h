// The engine's Runner, implemented by a decoder on a device.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "engine/runner.h"
#include "model/decoder.h"

namespace quire {

class ModelRunner : public Runner {
 public:
  ModelRunner(std::unique_ptr<Device> device, std::unique_ptr<DecoderModel> decoder, bool runs_ahead = false)
      : device_(std::move(device)), decoder_(std::move(decoder)), runs_ahead_(runs_ahead) {}

  void start(const StepBatch& batch) override;
  StepResult finish() override;
  bool runs_ahead() const override { return runs_ahead_; }
  // With a soft cap of logits tokens are drawn on the host, where the cap is applied.
  bool draws_tokens() const override { return decoder_->config().logits_soft_cap == 0; }

  Device& device() { return *device_; }
  DecoderModel& decoder() { return *decoder_; }

 private:
  struct StartedStep {
    std::vector<std::uint8_t> wants_logits;  // [rows]
    std::size_t copy_idx = 0;                // index in copies_; unused if all rows want logits
    bool has_tokens = false;
    // Rows of logits in logits_copy_: all that are wanted, or 0 if these are not consecutive.
    std::size_t num_copied_rows = 0;
  };
  void start_logits_copy(StartedStep& step);
  std::span<const float> wanted_logits(const StartedStep& step);
  std::span<const float> capped(std::span<const float> logits);

  std::unique_ptr<Device> device_;  // outlives the decoder's buffers
  std::unique_ptr<DecoderModel> decoder_;
  const bool runs_ahead_;
  std::unique_ptr<HostCopy> copies_[2];  // of drawn tokens, since two steps may be in flight
  std::size_t copy_rows_[2] = {};        // the rows of each copy
  std::size_t next_copy_ = 0;
  // One is enough: no step is started before the wanted logits of the last one have been read.
  std::unique_ptr<HostCopy> logits_copy_;
  std::size_t logits_copy_rows_ = 0;
  std::deque<StartedStep> started_;
  std::vector<std::int32_t> tokens_;
  std::vector<float> logits_;
};

}  // namespace quire
