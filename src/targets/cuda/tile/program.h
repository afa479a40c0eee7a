// Programs of the cuda target: a program is a thread block. Shared memory, work distribution, single elements of rows.
#pragma once

#include "targets/cuda/tile/math.h"

namespace quire {
namespace QUIRE_TARGET {

constexpr int kLaneCount = 32;
#ifndef QUIRE_WARPS
#define QUIRE_WARPS 4
#endif
constexpr int kWarps = QUIRE_WARPS;            // of a program with tiles
constexpr int kExchangeBytes = kExchangeBytesPerWarp * kWarps;  // at the start of shared memory: values that warps exchange

QUIRE_DEV int lane_idx() { return thread_idx() % kLaneCount; }
QUIRE_DEV int warp_idx() { return thread_idx() / kLaneCount; }
QUIRE_DEV int num_warps() { return num_threads() / kLaneCount; }

// QUIRE_PRODUCER: registers of a thread of the producer; 0: there is none.
// The team: the warps that compute. A warpgroup beside them, the producer, may do nothing but fill rings of stages (warpgroup.h); it goes
// through the same text, where most of what tiles do is not for it.
#if QUIRE_PRODUCER
constexpr bool kHasProducer = true;
constexpr int kProducerWarps = 4;
#else
constexpr bool kHasProducer = false;
constexpr int kProducerWarps = 0;
#endif
QUIRE_DEV bool is_producer() { return kHasProducer && warp_idx() >= kWarps; }
QUIRE_DEV void team_barrier() {
#if QUIRE_PRODUCER
  if (!is_producer()) named_barrier_wait(1, kWarps * kLaneCount);
#else
  block_barrier();
#endif
}

// Of attention: both head sizes are the bound that the kernel was compiled for, and rows of q and o are whole, aligned pieces of 16 bytes.
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
constexpr int kOwnArrivalBytes = kArrivalBytes;  // words that count arrivals, and work items on their way to the team
#else
constexpr int kOwnArrivalBytes = 0;
#endif
// Room of its own for sums that warps join, where tiles stay in use meanwhile.
#ifdef QUIRE_JOIN_BYTES
constexpr int kJoinBytes = QUIRE_JOIN_BYTES;
#else
constexpr int kJoinBytes = 0;
#endif
constexpr int kReservedBytes = kExchangeBytes + kOwnArrivalBytes + kJoinBytes;

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

#if QUIRE_WARPGROUPS
// Words in shared memory that count arrivals. Of the block's ring: two warps of the producer say that a slot is full, every warp of the team
// that it is free.
enum Arrival : int {
  kKeysFull = 0,
  kValuesFull = 4,
  kKeysFree = 8,
  kValuesFree = 12,
  kItemFull = 16,  // two slots
  kItemFree = 18,
  kLeftFull = 20,  // the left operand
  kLeftFree = 21,
  kFewDone = 22,  // items of few rows, by the next of many rows: sums of few are joined where the left operand of many lies
  kNumArrivals = 23,
};
QUIRE_DEV char* arrival_word(int idx) { return shared_memory() + kExchangeBytes + idx * 8; }
// A warp's first lane arrives for all; with QUIRE_LANE_ARRIVALS each lane, for a tool that does not see that the first speaks for them.
#ifdef QUIRE_LANE_ARRIVALS
constexpr int kWarpArrivals = kLaneCount;
#else
constexpr int kWarpArrivals = 1;
#endif
QUIRE_DEV int arrivals_of(int word) {
  if (word < kKeysFree) return 2 * kWarpArrivals;
  if (word < kItemFull) return kWarps * kWarpArrivals;
  if (word < kItemFree) return 1;
  return (word < kLeftFull ? kWarps + kProducerWarps : word == kLeftFull ? kProducerWarps : kWarps) * kWarpArrivals;
}

// By all lanes of a warp: it is done with what it read.
QUIRE_DEV void count_warp(int word) {
  warp_barrier();
  if (lane_idx() < kWarpArrivals) arrival_count(arrival_word(word));
}
#endif

// One instance of a kernel. Tiles take shared memory from it until the current item ends.
struct Program {
  int* counters;
  int used = kReservedBytes;
  RingPlace ring;  // where the block's ring goes on
  unsigned left_phase = 0, few_phase = 0;
  bool was_of_few = false;  // the item before
  bool is_padded = false;   // the ring is, with zeros: see producer_ring.h

  QUIRE_DEV explicit Program(const LaunchState& state) : counters(state.counters) {
    allow_next_launch();
#if QUIRE_PRODUCER  // without one nobody arrives
    if (thread_idx() < kNumArrivals) arrival_init(arrival_word(thread_idx()), arrivals_of(thread_idx()));
    shared_memory_fence();
    block_barrier();
#endif
  }

  // 1,024-byte aligned; the host sized the block's shared memory for the kernel's tiles.
  QUIRE_DEV char* take(int bytes) {
    used = round_up(used, 1024);
    char* p = shared_memory() + used;
    used += bytes;
    return p;
  }
  // What lies `offset` bytes behind the first tile.
  QUIRE_DEV char* take_from(int offset) const { return shared_memory() + round_up(kReservedBytes, 1024) + offset; }
};

QUIRE_DEV float* exchange_values() { return reinterpret_cast<float*>(shared_memory()); }
QUIRE_DEV int* exchange_item() { return reinterpret_cast<int*>(shared_memory() + kReservedBytes - kJoinBytes) - 1; }
// The producer's: where each row of the left operand is.
template <class E>
QUIRE_DEV const E** left_rows() {
  return reinterpret_cast<const E**>(shared_memory() + kExchangeBytes / 2);
}

// Sums and maxima over the four lanes that share rows of a fragment.
QUIRE_DEV float quad_sum(float x) {
  x += shuffle_xor(x, 1);
  return x + shuffle_xor(x, 2);
}
QUIRE_DEV float quad_max(float x) {
  x = vec_max(x, shuffle_xor(x, 1));
  return vec_max(x, shuffle_xor(x, 2));
}

// Elements of plain rows: an element is its number.
template <class E>
QUIRE_DEV float load(const E* p, int i) {
  return to_f32(p[i]);
}
template <class E>
QUIRE_DEV void store(E* p, int i, float x) {
  p[i] = Rounded<E>::of(x);
}
QUIRE_DEV void store_pair(float* p, float x, float y) { store_64(p, bits_of(x), bits_of(y)); }
template <class E>
QUIRE_DEV void store_pair(E* p, float x, float y) {
  store_32(p, pack_pair(E{}, x, y));
}

}  // namespace QUIRE_TARGET
}  // namespace quire
