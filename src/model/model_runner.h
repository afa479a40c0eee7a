// The engine's Runner over a decoder on a device.
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
  // The soft cap of logits is applied here, on the host.
  bool draws_tokens() const override { return decoder_->config().logits_soft_cap == 0; }

  Device& device() { return *device_; }
  DecoderModel& decoder() { return *decoder_; }

 private:
  struct StartedStep {
    std::vector<std::uint8_t> wants_logits;  // [rows]
    std::size_t copy_idx = 0;                // of copies_; none if all rows want logits
    bool has_tokens = false;
    std::size_t num_copied_rows =
        0;  // of logits, by logits_copy_: all that are wanted; 0: they are not neighbours
  };
  void start_logits_copy(StartedStep& step);
  std::span<const float> wanted_logits(const StartedStep& step);
  std::span<const float> capped(std::span<const float> logits);

  std::unique_ptr<Device> device_;  // outlives the decoder's buffers
  std::unique_ptr<DecoderModel> decoder_;
  const bool runs_ahead_;
  std::unique_ptr<HostCopy> copies_[2];  // of drawn tokens: two steps may be under way
  std::size_t copy_rows_[2] = {};        // that they were made for
  std::size_t next_copy_ = 0;
  std::unique_ptr<HostCopy>
      logits_copy_;  // one serves: no step is started ahead of one whose logits are wanted
  std::size_t logits_copy_rows_ = 0;
  std::deque<StartedStep> started_;
  std::vector<std::int32_t> tokens_;
  std::vector<float> logits_;
};

}  // namespace quire
