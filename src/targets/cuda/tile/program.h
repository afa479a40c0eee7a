// Programs of the cuda target: thread blocks, and the words in shared memory by which a producer and the team
// wait for each other.
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

// What lanes hold of a block of sums of a matrix step (multiply_step): rows l / 4 and l / 4 + 8, columns 2 (l
// % 4) and + 1 of 8.
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
// Words in shared memory that count arrivals. Of the block's ring: two warps of the producer say that a slot
// is full, every warp of the team that it is free.
enum Barrier : int {
  kKeysFull = 0,
  kValuesFull = 4,
  kKeysFree = 8,
  kValuesFree = 12,
  kItemFull = 16,  // two slots
  kItemFree = 18,
  kLeftFull = 20,  // the left operand
  kLeftFree = 21,
  kFewDone = 22,  // items of few rows, by the next of many rows: sums of few are joined where the left
                  // operand of many lies
  kNumBarriers = 23,
};
QUIRE_DEV char* mbarrier_at(int idx) { return shared_memory() + kExchangeBytes + idx * 8; }
// A warp's first lane arrives for all; with QUIRE_LANE_ARRIVALS each lane, for a tool that does not see that
// the first speaks for them.
#ifdef QUIRE_LANE_ARRIVALS
constexpr int kWarpArrivals = kLaneCount;
#else
constexpr int kWarpArrivals = 1;
#endif
QUIRE_DEV int arrivals_of(int word) {
  if (word < kKeysFree) return 2 * kWarpArrivals;
  if (word < kItemFull) return kWarps * kWarpArrivals;
  if (word < kItemFree) return 1;
  return (word < kLeftFull    ? kWarps + kProducerWarps
          : word == kLeftFull ? kProducerWarps
                              : kWarps) *
         kWarpArrivals;
}

// By all lanes of a warp: it is done with what it read.
QUIRE_DEV void count_warp(int word) {
  warp_barrier();
  if (lane_idx() < kWarpArrivals) mbarrier_arrive(mbarrier_at(word));
}
#endif

struct Program : BlockProgram {
  RingPlace ring;  // where the block's ring goes on
  unsigned left_phase = 0, few_phase = 0;
  bool was_of_few = false;  // the item before

  QUIRE_DEV explicit Program(const LaunchState& state) : BlockProgram(state) {
    allow_next_launch();
#if QUIRE_PRODUCER  // without one nobody arrives
    if (thread_idx() < kNumBarriers) mbarrier_init(mbarrier_at(thread_idx()), arrivals_of(thread_idx()));
    shared_memory_fence();
    block_barrier();
#endif
  }
};

// The producer's: where each row of the left operand is.
template <class E>
QUIRE_DEV const E** left_rows() {
  return reinterpret_cast<const E**>(shared_memory() + kExchangeBytes / 2);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
