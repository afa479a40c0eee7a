// Draws the likeliest token of each row of logits on the device.
#pragma once

#include <cstdint>
#include <memory>

#include "device/device.h"

namespace quire {

class DeviceSampler {
 public:
  DeviceSampler(Device& device, int vocab_size) : device_(device), vocab_size_(vocab_size) {}

  // Room for so many rows. Never less than before.
  void reserve(int num_rows);

  // Launches; `logits` [num_rows, vocab_size] on the device, at most as many rows as there is room for.
  void sample(const float* logits, int num_rows);

  // ids[i] = tokens()[rows[i]] where rows[i] >= 0, on the device. Launches.
  void take_tokens(const std::int32_t* rows, std::int32_t* ids, int num_tokens);

  // [num_rows] of the last sample on the device: see SampleGreedyParams.
  const std::int32_t* tokens() const { return tokens_->as<std::int32_t>(); }

  std::uint64_t num_reallocations() const { return num_reallocations_; }

 private:
  Device& device_;
  const int vocab_size_;
  int max_rows_ = 0;
  std::uint64_t num_reallocations_ = 0;
  std::unique_ptr<Buffer> tokens_, part_max_, part_token_, counters_;
};

}  // namespace quire
