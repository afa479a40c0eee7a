// Divides a batch into work items: host arithmetic on lengths.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "tuning/attention_target.h"

namespace quire {

// The BatchKindCaps of each kind of batch, for one desc on one device.
class CapsByKind {
 public:
  CapsByKind(const BatchKindCaps& caps);  // the same for all kinds
  CapsByKind(const AttentionTarget& target, const AttentionDesc& desc);

  const BatchKindCaps& of(BatchKind kind) const { return kinds_[static_cast<std::size_t>(kind)]; }
  // The most rows of a block. The same for all kinds, since blocks are made before the kind is known.
  int rows(const AttentionDesc& desc) const;
  // The most programs that run at the same time, over all kinds.
  int most_programs() const;

 private:
  BatchKindCaps& of(BatchKind kind) { return kinds_[static_cast<std::size_t>(kind)]; }

  std::array<BatchKindCaps, kNumBatchKinds> kinds_;
};

struct AttentionSchedule {
  static constexpr std::size_t kHeaderBytes = 64;

  BatchKind kind = BatchKind::kDecode;
  // What the device reads: the number of items, an int, and from kHeaderBytes on the items, the longest
  // first.
  std::vector<std::byte> image;
  int num_partial_rows = 0;  // rows of partial states
  int num_counters = 0;

  std::span<const AttentionWork> work() const {
    if (image.empty()) return {};
    return {reinterpret_cast<const AttentionWork*>(image.data() + kHeaderBytes),
            (image.size() - kHeaderBytes) / sizeof(AttentionWork)};
  }
};

// Replaces `schedule`, whose memory is reused. Throws Error{kInvalidArgument} that names a request and its
// lengths.
void make_schedule(const AttentionDesc& desc, const CapsByKind& kinds, const AttentionLengths& lengths,
                   AttentionSchedule& schedule);

}  // namespace quire
