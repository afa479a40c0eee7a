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

// How kernels find the pages of a cache group. They know pages of page_size tokens in pools that hold one
// layer each; what is one page to the engine is page_scale of theirs, part_stride pages apart.
struct GroupPaging {
  int page_scale = 1;
  int part_stride = 0;
};

// Of one group of the cache.
struct GroupArrays {
  int max_pages = 0;                           // row length of page_table
  const std::int64_t* slot_mapping = nullptr;  // [num_tokens], -1 for padding
  const std::int32_t* page_table = nullptr;    // [num_seqs, max_pages]
};

// Where the arrays of one step lie, and their extents. Equal extents mean equal places, as long as the memory
// stays.
struct StepArrays {
  int num_tokens = 0, num_rows = 0;                 // padding included
  std::array<GroupArrays, kMaxCacheGroups> groups;  // as many as the cache has
  const DrawRow* draws = nullptr;                   // [num_rows], see StepBatch; nothing for padding
  std::int32_t* token_ids = nullptr;                // [num_tokens]
  const std::int32_t* positions = nullptr;          // [num_tokens]
  const std::int32_t* drawn_rows = nullptr;         // [num_tokens], see StepBatch
  const std::int32_t* logit_rows = nullptr;         // [num_rows]
};

class StepInputs {
 public:
  StepInputs(Device& device, int page_size, std::vector<GroupPaging> groups)
      : device_(device), page_size_(page_size), groups_(std::move(groups)) {}

  // Room for steps of these extents; more is taken when it is needed. max_pages: the kernels' pages in a row
  // of each group's table.
  void reserve(int num_tokens, int num_rows, int num_seqs, int max_pages);

  // Copies the arrays of `batch`.
  StepArrays upload(const StepBatch& batch);

  // The same for a step of one token a request, each with its logits, padded to `num_tokens`: rows that write
  // no key, and whose results mean nothing.
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
  std::vector<std::byte> staging_;  // the same bytes on the host
  std::uint64_t num_reallocations_ = 0;
};

}  // namespace quire
