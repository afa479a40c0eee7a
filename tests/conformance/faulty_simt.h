// simt.h with faults that a test can plant while it runs: the calls behind some of its functions go through
// faulty_calls.cpp.
#pragma once

#include "targets/emulator/lane_calls.h"

namespace quire {
namespace faulty_calls {

using namespace emulator;

void block_barrier();
void named_barrier_sync(int barrier, int count);
void named_barrier_arrive(int barrier, int count);
void warp_barrier();
float shuffle_xor(float x, int mask);
void copy_async_16(void* to, const void* from, bool valid);
void copy_async_wait(int pending);
void load_matrix(unsigned (&r)[4], const void* row, bool transposed);
void multiply_step(Element16 type, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
void multiply_warpgroup(const WarpgroupProduct& product);
void warpgroup_fence();
void warpgroup_wait(int pending);
void shared_memory_fence();
void mbarrier_arrive(void* barrier);
void mbarrier_wait(void* barrier, int parity);
void device_fence();

}  // namespace faulty_calls
}  // namespace quire

#define emulator faulty_calls
#include "targets/emulator/simt.h"
#undef emulator
