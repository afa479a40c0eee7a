// Programs of the cuda target: thread blocks, and the mbarriers by which producer and consumer warps wait for
// each other.
#pragma once

#include "targets/cuda/tile/swizzled_page.h"
#include "tile/pipeline_loads.h"
#include "tile/views.h"
#include QUIRE_SIMT_HEADER
#if QUIRE_WARPGROUPS
#include "targets/cuda/tile/matrix_descriptor.h"
#endif
#include "tile/lanes/program.h"

namespace quire {
namespace QUIRE_TARGET {

// The elements of a 16 x 8 block of sums (multiply_step) that lane l holds: rows l / 4 and l / 4 + 8, columns
// 2 (l % 4) and 2 (l % 4) + 1.
struct Fragment {
  static constexpr int kCols = 8, kRows = 2, kLaneCols = 2, kRowLanes = 4, kRowLaneStep = 1;
  static QUIRE_DEV int first_row() { return lane_idx() / 4; }
  static QUIRE_DEV int first_col() { return lane_idx() % 4 * 2; }
  static constexpr int row_offset(int i) { return 8 * i; }
  static constexpr int col_offset(int i) { return i; }
};

QUIRE_DEV void copy_async_wait_all() {
  copy_async_commit();
  copy_async_wait<0>();
}

#if QUIRE_WARPGROUPS
// The mbarriers of a block, by index. Two producer warps signal that a slot of the ring is full, and every
// consumer warp signals that it is free.
enum Barrier : int {
  kKeysFull = 0,
  kValuesFull = 4,
  kKeysFree = 8,
  kValuesFree = 12,
  kItemFull = 16,  // two slots
  kItemFree = 18,
  kLeftFull = 20,  // the left operand
  kLeftFree = 21,
  kFewDone = 22,  // by the consumers, at the first item of many rows after items of few rows: these have
                  // joined their sums in the memory of the left operand of many rows, which is free now
  kNumBarriers = 23,
};
QUIRE_DEV char* mbarrier_at(int idx) { return shared_memory() + kExchangeBytes + idx * 8; }
// The first lane of a warp arrives at a barrier for all. With QUIRE_LANE_ARRIVALS every lane does, for tools
// such as compute-sanitizer, which do not see that the first lane does so after a barrier of the warp.
#ifdef QUIRE_LANE_ARRIVALS
constexpr int kWarpArrivals = kLaneCount;
#else
constexpr int kWarpArrivals = 1;
#endif
QUIRE_DEV int arrivals_of(int barrier) {
  if (barrier < kKeysFree) return 2 * kWarpArrivals;
  if (barrier < kItemFull) return kWarps * kWarpArrivals;
  if (barrier < kItemFree) return 1;
  return (barrier < kLeftFull    ? kWarps + kProducerWarps
          : barrier == kLeftFull ? kProducerWarps
                                 : kWarps) *
         kWarpArrivals;
}

// The warp arrives at a barrier, after all of its lanes have come here. Called by all of them.
QUIRE_DEV void count_warp(int barrier) {
  warp_barrier();
  if (lane_idx() < kWarpArrivals) mbarrier_arrive(mbarrier_at(barrier));
}
#endif

struct Program : BlockProgram {
  RingPlace ring;  // the slot with which the next item begins
  unsigned left_phase = 0, few_phase = 0;
  bool was_of_few = false;  // the item before had few rows

  QUIRE_DEV explicit Program(const LaunchState& state) : BlockProgram(state) {
    allow_next_launch();
#if QUIRE_PRODUCER  // without producer warps the barriers are not used
    if (thread_idx() < kNumBarriers) mbarrier_init(mbarrier_at(thread_idx()), arrivals_of(thread_idx()));
    shared_memory_fence();
    block_barrier();
#endif
  }
};

// Used by producer warps only: the address of each row of the left operand.
template <class E>
QUIRE_DEV const E** left_rows() {
  return reinterpret_cast<const E**>(shared_memory() + kExchangeBytes / 2);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
