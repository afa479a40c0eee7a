// Batches to measure attention on: random queries, keys and values in shuffled pages, caches that take turns.
#pragma once

#include <cstddef>
#include <memory>

#include "attention/attention.h"

namespace quire {

// Bytes of keys and values over which runs take turns so that none finds its own in the processor's caches.
constexpr std::size_t kColdBytes = std::size_t{512} << 20;

// Bytes of pages that hold a batch once.
std::size_t pool_bytes_of(const Device& device, const AttentionDesc& desc, const AttentionLengths& lengths);

// For a batch: as many caches as make kColdBytes, at least 2, at most 64.
std::size_t cold_bytes_of(const Device& device, const AttentionDesc& desc, const AttentionLengths& lengths);

// Memory full of pages, filled through the kernel that also fills them in an engine. Serves batches of one
// desc.
class PageMemory {
 public:
  PageMemory(Device& device, const AttentionDesc& desc, std::size_t num_bytes);  // rounded up to whole pages

  const std::byte* data() const { return pages_->data(); }
  std::size_t num_bytes() const { return num_bytes_; }

 private:
  std::size_t num_bytes_;
  std::unique_ptr<Buffer> pages_;
};

// One batch. `device`, `memory` and what `lengths` points to outlive it.
class AttentionWorkload {
 public:
  // Throws Error{kInternal} if the memory does not hold the batch.
  AttentionWorkload(Device& device, const AttentionDesc& desc, const AttentionLengths& lengths,
                    const PageMemory& memory);

  // Of run number 0, 1, 2 …, each on the next cache.
  AttentionTensors tensors(int run) const;

  std::size_t num_copies() const { return num_copies_; }
  const Buffer& output() const { return *o_; }  // [num_tokens, num_qo_heads, head_dim_vo], of every run

 private:
  const PageMemory& memory_;
  int max_pages_ = 0;
  std::size_t pool_bytes_, num_copies_;
  std::unique_ptr<Buffer> page_table_, q_, o_, slopes_, sinks_;
};

}  // namespace quire
