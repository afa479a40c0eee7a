// A step's index arrays on the device: one block of memory, filled by one copy.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "device/device.h"
#include "engine/batch.h"
#include "kernels/params.h"

namespace quire {

// Where the arrays of one step lie, and their extents. Equal extents mean equal places, as long as the memory stays.
struct StepArrays {
  int num_tokens = 0, num_rows = 0, max_pages = 0;  // padding included
  const std::int64_t* slot_mapping = nullptr;       // [num_tokens], -1 for padding
  const DrawRow* draws = nullptr;                   // [num_rows], see StepBatch; nothing for padding
  std::int32_t* token_ids = nullptr;                // [num_tokens]
  const std::int32_t* positions = nullptr;          // [num_tokens]
  const std::int32_t* drawn_rows = nullptr;         // [num_tokens], see StepBatch
  const std::int32_t* logit_rows = nullptr;         // [num_rows]
  const std::int32_t* page_table = nullptr;         // [num_seqs, max_pages]
};

class StepInputs {
 public:
  explicit StepInputs(Device& device) : device_(device) {}

  // Room for steps of these extents; more is taken when it is needed.
  void reserve(int num_tokens, int num_rows, int num_seqs, int max_pages);

  // Copies the arrays of `batch`.
  StepArrays upload(const StepBatch& batch);

  // The same for a step of one token a request, each with its logits, padded to `num_tokens`: rows that write no key, and whose
  // results mean nothing.
  StepArrays upload_padded(const StepBatch& batch, int num_tokens);

  std::uint64_t num_reallocations() const { return num_reallocations_; }

 private:
  StepArrays place(int num_tokens, int num_rows, int num_seqs, int max_pages);
  template <class T>
  void put(const T* place, const std::vector<T>& values, std::size_t num_values, T padding);
  void put_draws(const StepArrays& arrays, const StepBatch& batch);
  void copy(const StepArrays& arrays, const StepBatch& batch);

  Device& device_;
  std::unique_ptr<Buffer> buffer_;
  std::vector<std::byte> staging_;  // the same bytes on the host
  std::uint64_t num_reallocations_ = 0;
};

}  // namespace quire
