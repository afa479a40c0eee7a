// The functions of the emulator that simt.h calls for a lane. Kernels are compiled with flags that report
// every access to memory (access_hooks.cpp); other code must not be compiled so, which is why this file
// includes no standard header. The PTX ISA, in the sections named below, says what the functions do.
#pragma once

#define QUIRE_LANE_CONSTANT __attribute__((const))  // the same for a lane as long as it lives

namespace quire {
namespace emulator {

enum class Element16 : int { kBF16, kF16 };

QUIRE_LANE_CONSTANT int thread_idx();
QUIRE_LANE_CONSTANT int num_threads();
QUIRE_LANE_CONSTANT int block_idx();
QUIRE_LANE_CONSTANT int num_blocks();
QUIRE_LANE_CONSTANT char* shared_memory();
unsigned shared_address(const void* p);  // offset from shared_memory()

void block_barrier();
void warp_barrier();
// bar.sync and bar.arrive: `count` threads in all, a multiple of 32, meet at barrier 1 … 15.
void named_barrier_sync(int barrier, int count);
void named_barrier_arrive(int barrier, int count);
float shuffle_xor(float x, int mask);

// An access of several numbers at once needs an address that is a multiple of `bytes`.
void check_alignment(const void* p, int bytes);

// Atomics, and reads of what other blocks wrote (ld.global.cg).
int atomic_add(int* counter, int x);
void atomic_add(unsigned long long* sum, unsigned long long x);
void atomic_store(int* counter, int x);
void device_fence();
float load_fresh(const float* p);
unsigned load_fresh(const unsigned* p);
// atom.shared.add.u32; returns the value before.
unsigned atomic_add_shared(unsigned* sum, unsigned x);

// cp.async.cg 16, cp.async.commit_group, cp.async.wait_group.
void copy_async_16(void* to, const void* from, bool valid);
void copy_async_commit();
void copy_async_wait(int pending);

// ldmatrix.m8n8.x4.b16, with .trans; mma.m16n8k16 with f32 sums.
void load_matrix(unsigned (&r)[4], const void* row, bool transposed);
void multiply_step(Element16 type, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);

// wgmma.m64nNk16 with f32 sums, wgmma.fence, .commit_group, .wait_group;
// fence.proxy.async. c and a are read and written when the products are waited for, and must stay where they
// are until then.
struct WarpgroupProduct {
  Element16 type;
  float* c;                  // [num_cols / 8][4]
  const unsigned* a;         // [4]; null: the left operand is 64 rows in shared memory
  unsigned long long left;   // their matrix descriptor
  unsigned long long right;  // matrix descriptor
  int num_cols;              // N: a multiple of 8 up to 256
  bool adds;                 // to c, which is replaced otherwise
  bool is_transposed;        // the right operand lies with n along its rows
};
void multiply_warpgroup(const WarpgroupProduct& product);
void warpgroup_fence();
void warpgroup_commit();
void warpgroup_wait(int pending);
void shared_memory_fence();

// mbarrier.init, .arrive (count 1), .arrive.expect_tx, .expect_tx, .test_wait.parity; each a number of 8
// bytes in shared memory.
void mbarrier_init(void* barrier, int count);
void mbarrier_arrive(void* barrier);
void mbarrier_arrive_expect(void* barrier, int bytes);
void mbarrier_expect(void* barrier, int bytes);
// Waits for the phase of this parity (0, 1, 0 …) to complete: mbarrier.try_wait.parity in a loop.
void mbarrier_wait(void* barrier, int parity);
// cp.async.bulk.shared::cluster.global.mbarrier: `bytes` a multiple of 16, all addresses too. Performed when
// somebody waits for the barrier's phase.
void copy_bulk(void* to, const void* from, int bytes, void* barrier);

unsigned pack_pair(Element16 type, float lo, float hi);
float to_f32(Element16 type, unsigned short bits);
float exp2(float x);
float log2(float x);
float sqrt(float x);
unsigned long long to_integer(float x);  // cvt.rni.u64.f32
float max(float a, float b);

}  // namespace emulator
}  // namespace quire
