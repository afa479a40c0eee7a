// The engine's Runner over a decoder on a device.
#pragma once

#include <memory>
#include <vector>

#include "engine/runner.h"
#include "model/decoder.h"

namespace quire {

class ModelRunner : public Runner {
 public:
  ModelRunner(std::unique_ptr<Device> device, std::unique_ptr<DecoderModel> decoder)
      : device_(std::move(device)), decoder_(std::move(decoder)) {}

  std::span<const float> run(const StepBatch& batch) override;

  Device& device() { return *device_; }
  const DecoderModel& decoder() const { return *decoder_; }

 private:
  std::unique_ptr<Device> device_;  // outlives the decoder's buffers
  std::unique_ptr<DecoderModel> decoder_;
  std::vector<float> logits_;
};

}  // namespace quire
