// Programs of the cuda target: a program is a thread block. Shared memory, work distribution, single elements of rows.
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

// Two counters in global memory, zero between launches: the next item, and how many programs are done.
struct LaunchState {
  int* counters;  // null: items go round the programs in turn
};

#if QUIRE_WARPGROUPS
constexpr int kArrivalBytes = 512;  // barriers of bulk copies: of the block, and of each warp
#else
constexpr int kArrivalBytes = 0;
#endif
// Room of its own for sums that warps join, where tiles stay in use meanwhile.
#ifdef QUIRE_JOIN_BYTES
constexpr int kJoinBytes = QUIRE_JOIN_BYTES;
#else
constexpr int kJoinBytes = 0;
#endif
constexpr int kReservedBytes = kExchangeBytes + kArrivalBytes + kJoinBytes;

// One instance of a kernel. Tiles take shared memory from it until the current item ends.
struct Program {
  int* counters;
  int used = kReservedBytes;
  unsigned phases = 0;  // of the arrival barriers that this thread waits for

  QUIRE_DEV explicit Program(const LaunchState& state) : counters(state.counters) {
    allow_next_launch();
#if QUIRE_WARPGROUPS
    if (thread_idx() < kArrivalBytes / 8) arrival_init(shared_memory() + kExchangeBytes + thread_idx() * 8);
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
};

QUIRE_DEV float* exchange_values() { return reinterpret_cast<float*>(shared_memory()); }
QUIRE_DEV int* exchange_item() { return reinterpret_cast<int*>(shared_memory() + kExchangeBytes) - 1; }

// Items 0 … n - 1 of a launch, each done once. The item after this one is asked for before this one is worked on. Results of earlier
// launches are there from here on.
template <class F>
QUIRE_DEV void for_each_work(Program& program, int n, const F& f) {
  wait_for_earlier_launches();
  if (program.counters == nullptr) {
    for (int item = block_idx(); item < n; item += num_blocks()) f(item);
    return;
  }
  int item = block_idx();
  while (item < n) {
    int next = 0;
    if (thread_idx() == 0) next = atomic_add(program.counters, 1) + num_blocks();
    program.used = kReservedBytes;
    f(item);
#if QUIRE_WARPGROUPS
    shared_memory_fence();  // the copy engine writes next where threads wrote
#endif
    block_barrier();
    if (thread_idx() == 0) *exchange_item() = next;
    block_barrier();
    item = *exchange_item();
  }
  if (thread_idx() == 0 && atomic_add(program.counters + 1, 1) == num_blocks() - 1) {
    atomic_store(program.counters, 0);
    atomic_store(program.counters + 1, 0);
  }
}

// True for the last of n programs that arrive; what the others wrote before arriving is then visible. The counter is back at 0.
QUIRE_DEV bool last_arrival(Program&, int* counter, int n) {
  device_fence();
  block_barrier();
  if (thread_idx() == 0) {
    const int arrived = atomic_add(counter, 1) + 1;
    if (arrived == n) atomic_store(counter, 0);
    device_fence();
    *exchange_item() = arrived;
  }
  block_barrier();
  return *exchange_item() == n;
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
