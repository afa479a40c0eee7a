// A program on a machine of lanes is a block of warps: its parts, and the fast memory that they share.
// Included behind the functions of the chip (QUIRE_SIMT_HEADER), which also say how many lanes a warp (a
// wave) has: kLaneCount.
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
constexpr int kExchangeBytes =
    kExchangeBytesPerWarp * kWarps;  // at the start of shared memory: values that warps exchange

QUIRE_DEV int lane_idx() { return thread_idx() % kLaneCount; }
QUIRE_DEV int warp_idx() { return thread_idx() / kLaneCount; }
QUIRE_DEV int num_warps() { return num_threads() / kLaneCount; }

// QUIRE_PRODUCER: registers of a thread of the producer; 0: there is none.
// The team: the warps that compute. Warps beside them, the producer, may do nothing but fill rings of stages,
// where a chip has barriers for a part of a block; they go through the same text, where most of what tiles do
// is not for them.
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
  int* counters;  // null: items go round the programs in turn
};

#if QUIRE_WARPGROUPS
constexpr int kOwnBarrierBytes =
    kBarrierBytes;  // words that count arrivals, and work items on their way to the team
#else
constexpr int kOwnBarrierBytes = 0;
#endif
// Room of its own for sums that warps join, where tiles stay in use meanwhile.
#ifdef QUIRE_JOIN_BYTES
constexpr int kJoinBytes = QUIRE_JOIN_BYTES;
#else
constexpr int kJoinBytes = 0;
#endif
constexpr int kReservedBytes = kExchangeBytes + kOwnBarrierBytes + kJoinBytes;

// A tile's place in a ring of slots, and whether rounds before it were odd or even in number.
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

// What every program has: counters of the launch, and shared memory that tiles take until the current item
// ends.
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
  // What lies `offset` bytes behind the first tile.
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
