// Draws a token from each row of logits on the device: the likeliest one, or at random.
#pragma once

#include <cstdint>
#include <memory>

#include "device/device.h"
#include "kernels/params.h"

namespace quire {

class DeviceSampler {
 public:
  DeviceSampler(Device& device, int vocab_size);

  // Allocates for `num_rows` rows, if that is more than before.
  void reserve(int num_rows);

  // The memory for one row in bytes, except for what depends on the device.
  static std::size_t row_bytes(int vocab_size);

  // Launches the search for the likeliest tokens. `logits` is [num_rows, vocab_size] on the device, with at
  // most as many rows as were reserved.
  void sample(const float* logits, int num_rows);

  // Launches random draws for those of the same rows for which `draws`, [num_rows] on the device, asks for
  // them. Called after `sample`. has_thresholds: some row may have a top_k or a top_p. Reads the logits once
  // more, or three times more with thresholds.
  void draw(const float* logits, const DrawRow* draws, int num_rows, bool has_thresholds);

  // Launches ids[i] = tokens()[rows[i]] for all i with rows[i] >= 0, on the device.
  void take_tokens(const std::int32_t* rows, std::int32_t* ids, int num_tokens);

  // [num_rows] on the device: the tokens of the last sample or draw, see SampleGreedyParams.
  const std::int32_t* tokens() const { return tokens_->as<std::int32_t>(); }

  std::uint64_t num_reallocations() const { return num_reallocations_; }

 private:
  std::unique_ptr<Buffer> make(std::size_t bytes) { return device_.allocate(bytes); }
  std::unique_ptr<Buffer> make_zeros(std::size_t bytes);

  Device& device_;
  const int vocab_size_;
  const KernelHandle greedy_, bins_, threshold_, draw_, take_;
  int max_rows_ = 0;
  std::uint64_t num_reallocations_ = 0;
  std::unique_ptr<Buffer> tokens_, maxima_, part_max_, part_token_, counters_;
  std::unique_ptr<Buffer> searches_, thresholds_, bin_counts_, bin_masses_, candidates_, num_candidates_,
      part_mass_, part_ties_;
};

}  // namespace quire
