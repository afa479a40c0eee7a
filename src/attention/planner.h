// Cuts a batch into work items: pure host arithmetic on lengths.
#pragma once

#include <vector>

#include "attention/attention.h"

namespace quire {

struct AttentionSchedule {
  std::vector<AttentionWork> work;  // longest first
  int num_partial_rows = 0;         // rows of partial states
  int num_counters = 0;
};

// In batch-invariant mode keys are split at multiples of this, whatever the batch; a multiple of every target's key tile.
constexpr int kInvariantSplitKeys = 4096;

// No request is longer, so that a position plus a window fits an int.
constexpr int kMaxContext = 1 << 30;

// Throws Error{kInvalidArgument} naming the request and its lengths. `schedule` is cleared first; its capacity is kept.
void make_schedule(const AttentionDesc& desc, const DeviceCaps& caps, const AttentionLengths& lengths,
                   AttentionSchedule& schedule);

}  // namespace quire
