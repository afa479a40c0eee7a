// A step's index arrays on the device: one block of memory, filled by one copy.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "device/device.h"
#include "engine/batch.h"
#include "kernels/params.h"

namespace quire {

// How kernels find the pages of a cache group. A kernel sees a pool for one layer with pages of page_size
// tokens. A page of the engine is page_scale pages of the kernel, at a distance of part_stride pages.
struct GroupPaging {
  int page_scale = 1;
  int part_stride = 0;
};

// The arrays of one group of the cache.
struct GroupArrays {
  int max_pages = 0;                           // row length of page_table
  const std::int64_t* slot_mapping = nullptr;  // [num_tokens], -1 for padding
  const std::int32_t* page_table = nullptr;    // [num_seqs, max_pages]
};

// The arrays of one step and their extents. Steps with equal extents have their arrays at equal addresses,
// until the memory is allocated anew.
struct StepArrays {
  int num_tokens = 0, num_rows = 0;                 // padding included
  std::array<GroupArrays, kMaxCacheGroups> groups;  // as many as the cache has
  const DrawRow* draws = nullptr;                   // [num_rows], see StepBatch; padding draws nothing
  std::int32_t* token_ids = nullptr;                // [num_tokens]
  const std::int32_t* positions = nullptr;          // [num_tokens]
  const std::int32_t* drawn_rows = nullptr;         // [num_tokens], see StepBatch
  const std::int32_t* logit_rows = nullptr;         // [num_rows]
};

class StepInputs {
 public:
  StepInputs(Device& device, int page_size, std::vector<GroupPaging> groups)
      : device_(device), page_size_(page_size), groups_(std::move(groups)) {}

  // Allocates for steps of these extents; larger steps allocate again. max_pages: the row length of each
  // group's page table, in pages of the kernels.
  void reserve(int num_tokens, int num_rows, int num_seqs, int max_pages);

  // Copies the arrays of `batch`.
  StepArrays upload(const StepBatch& batch);

  // The same for a step of one token a request, each with logits, padded to `num_tokens` tokens. The padding
  // writes no keys, and its results are not used.
  StepArrays upload_padded(const StepBatch& batch, int num_tokens);

  std::uint64_t num_reallocations() const { return num_reallocations_; }

 private:
  using Extents = std::array<int, kMaxCacheGroups>;
  std::size_t total_bytes(int num_tokens, int num_rows, int num_seqs, const Extents& max_pages) const;
  void reserve_bytes(std::size_t bytes);
  StepArrays place(const StepBatch& batch, int num_tokens, int num_rows, int num_seqs);
  template <class T>
  T* staged(const T* place);
  template <class T>
  void put(const T* place, const std::vector<T>& values, std::size_t num_values, T padding);
  void put_draws(const StepArrays& arrays, const StepBatch& batch);
  void put_slots(std::size_t group, const StepArrays& arrays, const GroupBatch& batch);
  void put_pages(std::size_t group, const StepArrays& arrays, const GroupBatch& batch);
  void copy(const StepArrays& arrays, const StepBatch& batch);

  Device& device_;
  const int page_size_;
  const std::vector<GroupPaging> groups_;
  std::unique_ptr<Buffer> buffer_;
  std::vector<std::byte> staging_;  // the host's copy of the block
  std::uint64_t num_reallocations_ = 0;
};

}  // namespace quire
