// Programs of the cuda target: a program is a thread block. Work distribution and elementwise work on rows.
#pragma once

#include "tile/target_cuda/math.h"

namespace quire {
namespace QUIRE_TARGET {

constexpr int kLaneCount = 32;
#ifndef QUIRE_WARPS
#define QUIRE_WARPS 4
#endif
constexpr int kWarps = QUIRE_WARPS;            // of a program with tiles
constexpr int kExchangeBytes = 256 * kWarps;  // at the start of shared memory: values that warps exchange

QUIRE_DEV int lane_idx() { return thread_idx() % kLaneCount; }
QUIRE_DEV int warp_idx() { return thread_idx() / kLaneCount; }
QUIRE_DEV int num_warps() { return num_threads() / kLaneCount; }

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
QUIRE_DEV int team_size() { return kHasProducer ? kWarps * kLaneCount : num_threads(); }
QUIRE_DEV void team_barrier() {
#if QUIRE_PRODUCER
  if (!is_producer()) named_barrier_wait(3, kWarps * kLaneCount);
#else
  block_barrier();
#endif
}

// Two counters in global memory, zero between launches: the next item, and how many programs are done.
struct LaunchState {
  int* counters;  // null: items go round the programs in turn
};

#if QUIRE_WARPGROUPS
constexpr int kArrivalBytes = 512;
#else
constexpr int kArrivalBytes = 0;
#endif
constexpr int kReservedBytes = kExchangeBytes + kArrivalBytes;

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
  kFewDone = 22,  // an item that the producer has no part in
  kOfWarps = 24,  // four slots a warp
};
QUIRE_DEV char* arrival_word(int idx) { return shared_memory() + kExchangeBytes + idx * 8; }
QUIRE_DEV int arrivals_of(int word) {
  if (word < kKeysFree) return 2;
  if (word < kItemFull) return kWarps;
  if (word < kItemFree || word >= kOfWarps) return 1;
  return word < kLeftFull ? kWarps + kProducerWarps : word == kLeftFull ? 4 : kWarps;
}

// The two warpgroups of a team issue their products in turn, so that one computes softmax while the other multiplies.
QUIRE_DEV void wait_for_turn() { named_barrier_wait(1 + warp_idx() / 4, 2 * 4 * kLaneCount); }
QUIRE_DEV void pass_turn() { named_barrier_arrive(2 - warp_idx() / 4, 2 * 4 * kLaneCount); }
#endif

// One instance of a kernel. Tiles take shared memory from it until the current item ends.
struct Program {
  int* counters;
  int used = kReservedBytes;
  unsigned phases = 0;  // of the warp's arrival barriers
  RingPlace ring;       // where the block's ring goes on
  unsigned left_phase = 0, few_phase = 0;
  bool is_of_few = false;  // the item: one that the producer has no part in

  QUIRE_DEV explicit Program(const LaunchState& state) : counters(state.counters) {
#if QUIRE_WARPGROUPS
    if (thread_idx() < kArrivalBytes / 8) arrival_init(arrival_word(thread_idx()), arrivals_of(thread_idx()));
    shared_memory_fence();
    block_barrier();
    if (kHasProducer && warp_idx() / 4 == 1) pass_turn();  // the first warpgroup begins
#endif
  }

  // 1,024-byte aligned; the host sized the block's shared memory for the kernel's tiles.
  QUIRE_DEV char* take(int bytes) {
    used = round_up(used, 1024);
    char* p = shared_memory() + used;
    used += bytes;
    return p;
  }
};

QUIRE_DEV float* exchange_values() { return reinterpret_cast<float*>(shared_memory()); }
QUIRE_DEV int* exchange_item() { return reinterpret_cast<int*>(shared_memory() + kExchangeBytes) - 1; }

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
QUIRE_DEV int index(int i) { return i; }
QUIRE_DEV float zeros(int) { return 0.0f; }

// f(i) for all i < n by all threads, the same thread for the same i in every call.
template <class F>
QUIRE_DEV void map(int n, const F& f) {
  for (int i = thread_idx(); i < n; i += num_threads()) f(i);
  block_barrier();
}

// One value for all threads from one of each. `join` is associative; every thread joins the warps in the same order.
template <class Join>
QUIRE_DEV float reduce_block(float x, const Join& join) {
  for (int mask = kLaneCount / 2; mask > 0; mask /= 2) x = join(x, shuffle_xor(x, mask));
  if (lane_idx() == 0) exchange_values()[warp_idx()] = x;
  block_barrier();
  x = exchange_values()[0];
  for (int w = 1; w < num_warps(); ++w) x = join(x, exchange_values()[w]);
  block_barrier();
  return x;
}
template <class F>
QUIRE_DEV float reduce_sum(int n, const F& f) {
  float sum = 0;
  for (int i = thread_idx(); i < n; i += num_threads()) sum += f(i);
  return reduce_block(sum, [](float a, float b) { return a + b; });
}
template <class F>
QUIRE_DEV float reduce_max(int n, const F& f) {
  float most = kNegInf;
  for (int i = thread_idx(); i < n; i += num_threads()) most = vec_max(f(i), most);
  return reduce_block(most, [](float a, float b) { return vec_max(a, b); });
}

}  // namespace QUIRE_TARGET
}  // namespace quire
