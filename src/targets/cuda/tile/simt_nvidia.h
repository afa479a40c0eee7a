// The functions of the chip that the cuda target uses: lanes, barriers, shuffles, matrix steps, asynchronous
// copies, atomics. On a GPU each is an instruction or two; the lane emulator implements the same functions on
// the host, as they are documented. Only this file and simt_warpgroup.h name instructions. They and the
// layouts of fragments are described in the PTX ISA: mma, ldmatrix, cp.async, ex2, lg2.
#pragma once

#include "tile/lanes/values.h"

#define QUIRE_DEV __device__ __forceinline__

namespace quire {
namespace QUIRE_TARGET {

constexpr int kLaneCount = 32;  // of a warp
QUIRE_DEV int thread_idx() { return static_cast<int>(threadIdx.x); }
QUIRE_DEV int num_threads() { return static_cast<int>(blockDim.x); }
QUIRE_DEV int block_idx() { return static_cast<int>(blockIdx.x); }
QUIRE_DEV int num_blocks() { return static_cast<int>(gridDim.x); }

// The block's shared memory, 1,024-byte aligned.
QUIRE_DEV char* shared_memory() {
  extern __shared__ __align__(1024) char quire_shared_memory[];
  return quire_shared_memory;
}
QUIRE_DEV unsigned long long address_of(const void* p) { return reinterpret_cast<unsigned long long>(p); }

// Waits for all threads of the block; what they wrote to shared and global memory before is then visible to
// all of them.
QUIRE_DEV void block_barrier() { __syncthreads(); }
QUIRE_DEV void warp_barrier() { __syncwarp(); }

// The value of lane (lane ^ mask) of the warp.
QUIRE_DEV float shuffle_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }

// Whether x is true in any lane of the warp.
QUIRE_DEV bool any_lane(bool x) { return __any_sync(0xffffffffu, x) != 0; }

// Counters in global memory that several blocks use. The fence orders all that the thread has written or seen
// before it, for the whole device.
QUIRE_DEV int atomic_add(int* counter, int x) { return atomicAdd(counter, x); }
QUIRE_DEV void atomic_add(unsigned long long* sum, unsigned long long x) { atomicAdd(sum, x); }
QUIRE_DEV void atomic_store(int* counter, int x) { atomicExch(counter, x); }
QUIRE_DEV void device_fence() { __threadfence(); }

// Adds to a number in shared memory; returns its value before.
QUIRE_DEV unsigned atomic_add_shared(unsigned* sum, unsigned x) { return atomicAdd(sum, x); }

// Launches of a queue may overlap: the next one starts when every block of this one has called
// allow_next_launch or has ended. Before wait_for_earlier_launches returns, a program must not access what
// earlier launches write, and must write nothing. PTX ISA: griddepcontrol.
QUIRE_DEV void allow_next_launch() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
QUIRE_DEV void wait_for_earlier_launches() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Loads that bypass the first-level cache, for values that other blocks have written during this launch.
QUIRE_DEV float load_fresh(const float* p) { return __ldcg(p); }
QUIRE_DEV unsigned load_fresh(const unsigned* p) { return __ldcg(p); }

// Aligned stores of 4, 8 and 16 bytes.
QUIRE_DEV void store_32(void* p, unsigned x) { *reinterpret_cast<unsigned*>(p) = x; }
QUIRE_DEV void store_64(void* p, unsigned x, unsigned y) { *reinterpret_cast<uint2*>(p) = make_uint2(x, y); }
QUIRE_DEV void store_128(void* p, const unsigned (&x)[4]) {
  *reinterpret_cast<uint4*>(p) = make_uint4(x[0], x[1], x[2], x[3]);
}

QUIRE_DEV Values4 load_128(const float* p) {
  const float4 v = *reinterpret_cast<const float4*>(p);
  return {v.x, v.y, v.z, v.w};
}
QUIRE_DEV Values4 load_fresh_128(const float* p) {
  const float4 v = __ldcg(reinterpret_cast<const float4*>(p));
  return {v.x, v.y, v.z, v.w};
}

// Loads and stores of 16 aligned bytes in any memory.
QUIRE_DEV void load_bits(unsigned (&x)[4], const void* p) {
  const uint4 v = *reinterpret_cast<const uint4*>(p);
  x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
}
QUIRE_DEV void store_bits(void* p, const unsigned (&x)[4]) {
  *reinterpret_cast<uint4*>(p) = make_uint4(x[0], x[1], x[2], x[3]);
}

QUIRE_DEV unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

// Starts copying 16 bytes from global to shared memory; both addresses are aligned. If not `valid` it writes
// zeros and reads nothing.
QUIRE_DEV void copy_async_16(void* to, const void* from, bool valid) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
}
QUIRE_DEV void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until all but the newest `pending` groups of copies of this thread have arrived.
template <int pending>
QUIRE_DEV void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// Four 8x8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8 and receives,
// of each matrix, elements 2 (l % 4) and + 1 of row l / 4; transposed: the two elements of column l / 4.
QUIRE_DEV void load_matrix(unsigned (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
QUIRE_DEV void load_matrix_transposed(unsigned (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// Keeps the compiler from moving computations of x, or with x, across this point. Needed because products of
// a warpgroup read and write registers asynchronously, which the compiler does not know.
QUIRE_DEV void pin(float& x) { asm volatile("" : "+f"(x)::"memory"); }
QUIRE_DEV void pin(unsigned& x) { asm volatile("" : "+r"(x)::"memory"); }
QUIRE_DEV void pin(int& x) { asm volatile("" : "+r"(x)::"memory"); }

// c[16, 8] += a[16, 16] b[16, 8]. With i = 2 (l % 4), lane l holds of rows l / 4 and l / 4 + 8 of a the
// columns i, i + 1, i + 8, i + 9; of column l / 4 of b the rows i, i + 1, i + 8, i + 9; and of rows l / 4 and
// l / 4 + 8 of c the columns i and i + 1.
QUIRE_DEV void multiply_step(bf16, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
QUIRE_DEV void multiply_step(f16, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, "
      "%1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two f32 rounded to nearest even, the first in the low half.
QUIRE_DEV unsigned pack_pair(bf16, float lo, float hi) {
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(hi), "f"(lo));
  return pair;
}
QUIRE_DEV unsigned pack_pair(f16, float lo, float hi) {
  unsigned pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(hi), "f"(lo));
  return pair;
}
QUIRE_DEV float to_f32(float x) { return x; }
QUIRE_DEV float to_f32(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
QUIRE_DEV float to_f32(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}

QUIRE_DEV unsigned multiply_high(unsigned a, unsigned b) { return __umulhi(a, b); }
// x rounded to the nearest whole number, ties to even; 0 <= x < 2^64.
QUIRE_DEV unsigned long long to_integer(float x) { return __float2ull_rn(x); }
QUIRE_DEV unsigned bits_of(float x) { return __float_as_uint(x); }
QUIRE_DEV float from_bits(unsigned bits) { return __uint_as_float(bits); }

// 2^x with an error of 2 ulp; results below 2^-126 are 0. log2(x) with an error of 2^-22 for x in [0.5, 2]
// and of 2 ulp elsewhere; subnormal x counts as 0.
QUIRE_DEV float exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
QUIRE_DEV float log2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
QUIRE_DEV float sqrt(float x) {
  float y;
  asm("sqrt.rn.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
QUIRE_DEV float vec_max(float a, float b) { return fmaxf(a, b); }

}  // namespace QUIRE_TARGET
}  // namespace quire

#if QUIRE_WARPGROUPS
#include "targets/cuda/tile/simt_warpgroup.h"
#endif
