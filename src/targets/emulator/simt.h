// The functions of targets/cuda/tile/simt_nvidia.h and simt_warpgroup.h on the host: the same names with the
// meaning that the PTX ISA documents for their instructions. QUIRE_SIMT_HEADER chooses between the two.
#pragma once

#include "targets/emulator/lane_calls.h"
#include "tile/lanes/values.h"

#define QUIRE_DEV inline __attribute__((always_inline))
#define QUIRE_DEV_APART inline __attribute__((noinline))
// Words of a kernel's entry that mean nothing here.
#define __global__
#define __grid_constant__
#define __launch_bounds__(...)

namespace quire {
namespace QUIRE_TARGET {

constexpr int kLaneCount = 32;  // of a warp
QUIRE_DEV int thread_idx() { return emulator::thread_idx(); }
QUIRE_DEV int num_threads() { return emulator::num_threads(); }
QUIRE_DEV int block_idx() { return emulator::block_idx(); }
QUIRE_DEV int num_blocks() { return emulator::num_blocks(); }

QUIRE_DEV char* shared_memory() { return emulator::shared_memory(); }
QUIRE_DEV unsigned shared_address(const void* p) { return emulator::shared_address(p); }
QUIRE_DEV unsigned long long address_of(const void* p) { return reinterpret_cast<unsigned long long>(p); }

QUIRE_DEV void block_barrier() { emulator::block_barrier(); }
QUIRE_DEV void warp_barrier() { emulator::warp_barrier(); }
QUIRE_DEV float shuffle_xor(float x, int mask) { return emulator::shuffle_xor(x, mask); }
QUIRE_DEV bool any_lane(bool x) {
  float most = x ? 1.0f : 0.0f;
  for (int mask = 16; mask > 0; mask /= 2) {
    const float other = shuffle_xor(most, mask);
    most = other > most ? other : most;
  }
  return most > 0.0f;
}

QUIRE_DEV int atomic_add(int* counter, int x) { return emulator::atomic_add(counter, x); }
QUIRE_DEV void atomic_add(unsigned long long* sum, unsigned long long x) { emulator::atomic_add(sum, x); }
QUIRE_DEV unsigned atomic_add_shared(unsigned* sum, unsigned x) {
  return emulator::atomic_add_shared(sum, x);
}
QUIRE_DEV void atomic_store(int* counter, int x) { emulator::atomic_store(counter, x); }
QUIRE_DEV void device_fence() { emulator::device_fence(); }

// Launches follow each other.
QUIRE_DEV void allow_next_launch() {}
QUIRE_DEV void wait_for_earlier_launches() {}

QUIRE_DEV float load_fresh(const float* p) { return emulator::load_fresh(p); }
QUIRE_DEV unsigned load_fresh(const unsigned* p) { return emulator::load_fresh(p); }
QUIRE_DEV void store_32(void* p, unsigned x) { *static_cast<unsigned*>(p) = x; }
QUIRE_DEV void store_64(void* p, unsigned x, unsigned y) {
  static_cast<unsigned*>(p)[0] = x;
  static_cast<unsigned*>(p)[1] = y;
}
QUIRE_DEV void store_128(void* p, const unsigned (&x)[4]) {
  for (int i = 0; i < 4; ++i) static_cast<unsigned*>(p)[i] = x[i];
}
QUIRE_DEV Values4 load_fresh_128(const float* p) {
  return {load_fresh(p), load_fresh(p + 1), load_fresh(p + 2), load_fresh(p + 3)};
}
QUIRE_DEV Values4 load_128(const float* p) { return {p[0], p[1], p[2], p[3]}; }
QUIRE_DEV void load_bits(unsigned (&x)[4], const void* p) {
  emulator::check_alignment(p, 16);
  for (int i = 0; i < 4; ++i) x[i] = static_cast<const unsigned*>(p)[i];
}
QUIRE_DEV void store_bits(void* p, const unsigned (&x)[4]) {
  emulator::check_alignment(p, 16);
  for (int i = 0; i < 4; ++i) static_cast<unsigned*>(p)[i] = x[i];
}

QUIRE_DEV void copy_async_16(void* to, const void* from, bool valid) {
  emulator::copy_async_16(to, from, valid);
}
QUIRE_DEV void copy_async_commit() { emulator::copy_async_commit(); }
template <int pending>
QUIRE_DEV void copy_async_wait() {
  emulator::copy_async_wait(pending);
}

// Operands are copied, so that a kernel's own variables need no address and accesses to them are not
// reported.
QUIRE_DEV void load_matrix(unsigned (&r)[4], const void* row) {
  unsigned x[4];
  emulator::load_matrix(x, row, false);
  for (int i = 0; i < 4; ++i) r[i] = x[i];
}
QUIRE_DEV void load_matrix_transposed(unsigned (&r)[4], const void* row) {
  unsigned x[4];
  emulator::load_matrix(x, row, true);
  for (int i = 0; i < 4; ++i) r[i] = x[i];
}

QUIRE_DEV void pin(float&) {}
QUIRE_DEV void pin(unsigned&) {}
QUIRE_DEV void pin(int&) {}

QUIRE_DEV emulator::Element16 element_of(bf16) { return emulator::Element16::kBF16; }
QUIRE_DEV emulator::Element16 element_of(f16) { return emulator::Element16::kF16; }

template <class E>
QUIRE_DEV void multiply_step(E type, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  float sums[4] = {c[0], c[1], c[2], c[3]};
  const unsigned left[4] = {a[0], a[1], a[2], a[3]};
  emulator::multiply_step(element_of(type), sums, left, b0, b1);
  for (int i = 0; i < 4; ++i) c[i] = sums[i];
}

// The registers of these products are read and written later, so that their variables must have addresses.
QUIRE_DEV void warpgroup_fence() { emulator::warpgroup_fence(); }
QUIRE_DEV void warpgroup_commit() { emulator::warpgroup_commit(); }
template <int pending>
QUIRE_DEV void warpgroup_wait() {
  emulator::warpgroup_wait(pending);
}
QUIRE_DEV void shared_memory_fence() { emulator::shared_memory_fence(); }
template <int num>
QUIRE_DEV void take_registers() {}
template <int num>
QUIRE_DEV void give_registers() {}
QUIRE_DEV void named_barrier_wait(int id, int threads) { emulator::named_barrier_sync(id, threads); }
QUIRE_DEV void named_barrier_arrive(int id, int threads) { emulator::named_barrier_arrive(id, threads); }
QUIRE_DEV void mbarrier_init(void* barrier, int count) { emulator::mbarrier_init(barrier, count); }
QUIRE_DEV void mbarrier_arrive(void* barrier) { emulator::mbarrier_arrive(barrier); }
QUIRE_DEV void mbarrier_arrive_expect(void* barrier, int bytes) {
  emulator::mbarrier_arrive_expect(barrier, bytes);
}
QUIRE_DEV void mbarrier_expect(void* barrier, int bytes) { emulator::mbarrier_expect(barrier, bytes); }
QUIRE_DEV void mbarrier_wait(void* barrier, unsigned phase) {
  emulator::mbarrier_wait(barrier, static_cast<int>(phase));
}
QUIRE_DEV void copy_bulk(void* to, const void* from, int bytes, void* barrier) {
  emulator::copy_bulk(to, from, bytes, barrier);
}
template <class E, int num_blocks>
QUIRE_DEV void multiply_rows(E type, float (&c)[num_blocks][4], unsigned long long a, unsigned long long b,
                             bool adds) {
  emulator::multiply_warpgroup({element_of(type), &c[0][0], nullptr, a, b, num_blocks * 8, adds, false});
}
template <class E, int num_blocks>
QUIRE_DEV void multiply_columns(E type, float (&c)[num_blocks][4], const unsigned (&a)[4],
                                unsigned long long b, bool adds) {
  emulator::multiply_warpgroup({element_of(type), &c[0][0], a, 0, b, num_blocks * 8, adds, true});
}

QUIRE_DEV unsigned pack_pair(bf16, float lo, float hi) {
  return emulator::pack_pair(emulator::Element16::kBF16, lo, hi);
}
QUIRE_DEV unsigned pack_pair(f16, float lo, float hi) {
  return emulator::pack_pair(emulator::Element16::kF16, lo, hi);
}
QUIRE_DEV float to_f32(float x) { return x; }
QUIRE_DEV float to_f32(bf16 x) { return emulator::to_f32(emulator::Element16::kBF16, x.bits); }
QUIRE_DEV float to_f32(f16 x) { return emulator::to_f32(emulator::Element16::kF16, x.bits); }

QUIRE_DEV unsigned multiply_high(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}
QUIRE_DEV unsigned long long to_integer(float x) { return emulator::to_integer(x); }
QUIRE_DEV unsigned bits_of(float x) { return __builtin_bit_cast(unsigned, x); }
QUIRE_DEV float from_bits(unsigned bits) { return __builtin_bit_cast(float, bits); }

QUIRE_DEV float exp2(float x) { return emulator::exp2(x); }
QUIRE_DEV float log2(float x) { return emulator::log2(x); }
QUIRE_DEV float sqrt(float x) { return emulator::sqrt(x); }
QUIRE_DEV float vec_max(float a, float b) { return emulator::max(a, b); }

}  // namespace QUIRE_TARGET
}  // namespace quire
