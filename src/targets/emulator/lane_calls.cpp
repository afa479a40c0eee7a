#include "targets/emulator/lane_calls.h"

#include <atomic>

#include "targets/emulator/block.h"

namespace quire {
namespace emulator {
namespace {

Block& block() { return *Block::current(); }

}  // namespace

int thread_idx() { return block().thread_idx(); }
int num_threads() { return block().shape().num_threads; }
int block_idx() { return block().shape().block_idx; }
int num_blocks() { return block().shape().num_blocks; }
char* shared_memory() { return block().shared().data(); }
unsigned shared_address(const void* p) { return static_cast<unsigned>(block().shared().offset_of(p)); }

void block_barrier() { block().named_barrier(0, block().shape().num_threads, true); }
void warp_barrier() { block().warp_barrier(); }
void named_barrier_sync(int barrier, int count) { block().named_barrier(barrier, count, true); }
void named_barrier_arrive(int barrier, int count) { block().named_barrier(barrier, count, false); }
float shuffle_xor(float x, int mask) { return block().shuffle_xor(x, mask); }

int atomic_add(int* counter, int x) { return block().atomic_add(counter, x); }
void atomic_add(unsigned long long* sum, unsigned long long x) { block().atomic_add(sum, x); }
unsigned atomic_add_shared(unsigned* sum, unsigned x) { return block().atomic_add_shared(sum, x); }
void atomic_store(int* counter, int x) { block().atomic_store(counter, x); }
float load_fresh(const float* p) { return block().load_fresh(p); }
unsigned load_fresh(const unsigned* p) { return block().load_fresh(p); }
void check_alignment(const void* p, int bytes) { block().check_alignment(p, bytes); }
void device_fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

void copy_async_16(void* to, const void* from, bool valid) { block().copy_async_16(to, from, valid); }
void copy_async_commit() { block().copy_async_commit(); }
void copy_async_wait(int pending) { block().copy_async_wait(pending); }

void load_matrix(unsigned (&r)[4], const void* row, bool transposed) {
  block().load_matrix({row, r}, transposed);
}
void multiply_step(Element16 type, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  block().multiply_step(type, {c, a, {b0, b1}});
}

void multiply_warpgroup(const WarpgroupProduct& product) { block().multiply_warpgroup(product); }
void warpgroup_fence() { block().warpgroup_fence(); }
void warpgroup_commit() { block().warpgroup_commit(); }
void warpgroup_wait(int pending) { block().warpgroup_wait(pending); }
void shared_memory_fence() { block().shared().fence(block().thread_idx()); }

void mbarrier_init(void* barrier, int count) { block().mbarrier_init(barrier, count); }
void mbarrier_arrive(void* barrier) { block().mbarrier_arrive(barrier, 0); }
void mbarrier_arrive_expect(void* barrier, int bytes) { block().mbarrier_arrive(barrier, bytes); }
void mbarrier_expect(void* barrier, int bytes) { block().mbarrier_expect(barrier, bytes); }
void mbarrier_wait(void* barrier, int parity) { block().mbarrier_wait(barrier, parity); }
void copy_bulk(void* to, const void* from, int bytes, void* barrier) {
  block().copy_bulk(to, from, bytes, barrier);
}

}  // namespace emulator
}  // namespace quire
