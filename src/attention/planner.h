// Cuts a batch into work items: pure host arithmetic on lengths.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "tuning/attention_target.h"

namespace quire {

// Facts about a device for one desc: those of the kernel that serves each kind of batch.
class CapsByKind {
 public:
  CapsByKind(const BatchKindCaps& caps);  // the same for all kinds
  CapsByKind(const AttentionTarget& target, const AttentionDesc& desc);

  const BatchKindCaps& of(BatchKind kind) const { return kinds_[static_cast<std::size_t>(kind)]; }
  int rows(const AttentionDesc& desc) const;  // of a block, at most: the kind of a batch is known when its blocks are cut
  int most_programs() const;                  // that run at the same time

 private:
  BatchKindCaps& of(BatchKind kind) { return kinds_[static_cast<std::size_t>(kind)]; }

  std::array<BatchKindCaps, kNumBatchKinds> kinds_;
};

struct AttentionSchedule {
  static constexpr std::size_t kHeaderBytes = 64;

  BatchKind kind = BatchKind::kDecode;
  std::vector<std::byte> image;     // what the device reads: the number of items (int), from kHeaderBytes on the items, longest first
  int num_partial_rows = 0;         // rows of partial states
  int num_counters = 0;

  std::span<const AttentionWork> work() const {
    if (image.empty()) return {};
    return {reinterpret_cast<const AttentionWork*>(image.data() + kHeaderBytes), (image.size() - kHeaderBytes) / sizeof(AttentionWork)};
  }
};

// Throws Error{kInvalidArgument} naming the request and its lengths. `schedule` is replaced; its memory is used again.
void make_schedule(const AttentionDesc& desc, const CapsByKind& kinds, const AttentionLengths& lengths,
                   AttentionSchedule& schedule);

}  // namespace quire
