// A program on a machine of lanes is a thread block: its warps, and the shared memory that they have.
// Included after the functions of the chip (QUIRE_SIMT_HEADER), which also define kLaneCount, the lanes of a
// warp (a wave on AMD).
#pragma once

#include "tile/lanes/facts.h"
#include "tile/lanes/math.h"
#include "tile/ranges.h"

namespace quire {
namespace QUIRE_TARGET {

#ifndef QUIRE_WARPS
#define QUIRE_WARPS 4
#endif
constexpr int kWarps = QUIRE_WARPS;  // of a program with tiles
// The first bytes of shared memory, for values that warps exchange.
constexpr int kExchangeBytes = kExchangeBytesPerWarp * kWarps;

QUIRE_DEV int lane_idx() { return thread_idx() % kLaneCount; }
QUIRE_DEV int warp_idx() { return thread_idx() / kLaneCount; }
QUIRE_DEV int num_warps() { return num_threads() / kLaneCount; }

// QUIRE_PRODUCER is the number of registers of a producer thread, or 0 if a program has no producer warps.
// Consumer warps compute. Producer warps, on chips with barriers for a part of a block, only fill rings of
// stages. Both run the same kernel text; in a producer warp most operations on tiles return at once.
#if QUIRE_PRODUCER
constexpr bool kHasProducer = true;
constexpr int kProducerWarps = 4;
#else
constexpr bool kHasProducer = false;
constexpr int kProducerWarps = 0;
#endif
QUIRE_DEV bool is_producer() { return kHasProducer && warp_idx() >= kWarps; }
QUIRE_DEV void consumer_barrier() {
#if QUIRE_PRODUCER
  if (!is_producer()) named_barrier_wait(1, kWarps * kLaneCount);
#else
  block_barrier();
#endif
}

// Of attention: both head sizes are those that the kernel was compiled for, and rows of q and o are whole,
// aligned pieces of 16 bytes.
#if QUIRE_EXACT_HEADS
constexpr bool kExactHeads = true;
#else
constexpr bool kExactHeads = false;
#endif

// Two counters in global memory, zero between launches: the next item, and how many programs are done.
struct LaunchState {
  int* counters;  // null: item i goes to program i mod the number of programs
};

#if QUIRE_WARPGROUPS
constexpr int kOwnBarrierBytes = kBarrierBytes;
#else
constexpr int kOwnBarrierBytes = 0;
#endif
// Separate memory for joining the sums of warps, where tiles are still in use at that time; without it the
// memory of the item's first tiles is used.
#ifdef QUIRE_JOIN_BYTES
constexpr int kJoinBytes = QUIRE_JOIN_BYTES;
#else
constexpr int kJoinBytes = 0;
#endif
constexpr int kReservedBytes = kExchangeBytes + kOwnBarrierBytes + kJoinBytes;

// A position in a ring of slots, and the parity of the rounds that are complete: the phase of its mbarriers.
struct RingPlace {
  int slot = 0;
  unsigned phase = 0;
  QUIRE_DEV void advance(int num_slots) {
    if (++slot == num_slots) {
      slot = 0;
      phase ^= 1;
    }
  }
};

// What every program has: the counters of the launch, and shared memory from which tiles take theirs until
// the current item ends.
struct BlockProgram {
  int* counters;
  int used = kReservedBytes;

  QUIRE_DEV explicit BlockProgram(const LaunchState& state) : counters(state.counters) {}

  // 1,024-byte aligned; the host sized the block's shared memory for the kernel's tiles.
  QUIRE_DEV char* take(int bytes) {
    used = round_up(used, 1024);
    char* p = shared_memory() + used;
    used += bytes;
    return p;
  }
  // The address `offset` bytes after the start of the first tile; takes nothing.
  QUIRE_DEV char* take_from(int offset) const {
    return shared_memory() + round_up(kReservedBytes, 1024) + offset;
  }
};

QUIRE_DEV float* exchange_values() { return reinterpret_cast<float*>(shared_memory()); }
QUIRE_DEV int* exchange_item() {
  return reinterpret_cast<int*>(shared_memory() + kReservedBytes - kJoinBytes) - 1;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
