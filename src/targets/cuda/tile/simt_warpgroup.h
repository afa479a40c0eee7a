// Matrix products of a warpgroup, which is 4 warps: asynchronous products of 64 rows, from registers or
// shared memory, with a right operand in shared memory. PTX ISA: wgmma. Compiled only for chips that have
// them (sm_90a); included by simt_nvidia.h.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

// Products issued after this see the registers as they were written before it.
QUIRE_DEV void warpgroup_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
QUIRE_DEV void warpgroup_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Waits until all but the newest `pending` groups of products are done.
template <int pending>
QUIRE_DEV void warpgroup_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}
// Makes what this thread wrote or copied to shared memory visible to matrix units and bulk copies (the async
// proxy), once a barrier has ordered them after this.
QUIRE_DEV void shared_memory_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Change the number of registers of each thread of the warpgroup to `num`, a multiple of 8. take_registers
// waits until other warpgroups have given up enough of them.
template <int num>
QUIRE_DEV void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(num));
}
template <int num>
QUIRE_DEV void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(num));
}

// Barriers for a part of a block, with `id` 1 to 15. `threads`, a multiple of 32, is the number of threads
// that wait or arrive in all.
QUIRE_DEV void named_barrier_wait(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
QUIRE_DEV void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// An mbarrier is 8 bytes of shared memory. Its phase, at first 0, flips when `count` threads have arrived and
// all expected bytes of bulk copies have been written. A bulk copy moves 16-byte aligned pieces of global
// memory to shared memory without threads. PTX ISA: mbarrier, cp.async.bulk.
QUIRE_DEV void mbarrier_init(void* barrier, int count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}
QUIRE_DEV void mbarrier_arrive(void* barrier) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
QUIRE_DEV void mbarrier_arrive_expect(void* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
// The current phase expects so many bytes more. At least one arrival of this phase must still be to come.
QUIRE_DEV void mbarrier_expect(void* barrier, int bytes) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(bytes)
               : "memory");
}
QUIRE_DEV void mbarrier_wait(void* barrier, unsigned phase) {
  asm volatile(
      "{ .reg .pred done; again%=: mbarrier.try_wait.parity.shared.b64 done, [%0], %1; @!done bra again%=; "
      "}" ::"r"(shared_address(barrier)),
      "r"(phase)
      : "memory");
}
QUIRE_DEV void copy_bulk(void* to, const void* from, int bytes, void* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
          shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}

// The sums among the operands of the products below, c[0] up to c[0 ... 15]: operand numbers and registers.
#define QUIRE_NUMBERS_4 "%0, %1, %2, %3"
#define QUIRE_NUMBERS_8 QUIRE_NUMBERS_4 ", %4, %5, %6, %7"
#define QUIRE_NUMBERS_16 QUIRE_NUMBERS_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define QUIRE_NUMBERS_32 \
  QUIRE_NUMBERS_16       \
  ", "                   \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define QUIRE_NUMBERS_64                                                             \
  QUIRE_NUMBERS_32                                                                   \
  ", "                                                                               \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define QUIRE_SUMS_4(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
#define QUIRE_SUMS_8(i) QUIRE_SUMS_4(i), QUIRE_SUMS_4(i + 1)
#define QUIRE_SUMS_16 QUIRE_SUMS_8(0), QUIRE_SUMS_8(2)
#define QUIRE_SUMS_32 QUIRE_SUMS_16, QUIRE_SUMS_8(4), QUIRE_SUMS_8(6)
#define QUIRE_SUMS_64 QUIRE_SUMS_32, QUIRE_SUMS_8(8), QUIRE_SUMS_8(10), QUIRE_SUMS_8(12), QUIRE_SUMS_8(14)

// c[64, N] = (adds ? c : 0) + a[64, 16] b[16, N]. Warp w of the group has rows 16 w to 16 w + 15, and its
// lanes hold c as in multiply_step. multiply_rows: a is 64 rows of 16 elements of k in shared memory, and b
// is N such rows (keys). multiply_columns: a is in registers as in multiply_step, and b is 16 rows, one for
// each k, of N elements (values). The operands of the instructions are numbered: the sums, then a, b and
// `adds`.
#define QUIRE_ROWS_BY_ROWS(E, type)                                                                          \
  QUIRE_DEV void multiply_rows(E, float(&c)[16][4], unsigned long long a, unsigned long long b, bool adds) { \
    asm volatile(                                                                                            \
        "{ .reg .pred adds; setp.ne.b32 adds, %66, 0; "                                                      \
        "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" QUIRE_NUMBERS_64                   \
        "}, %64, %65, adds, 1, 1, 0, 0; }"                                                                   \
        : QUIRE_SUMS_64                                                                                      \
        : "l"(a), "l"(b), "r"(static_cast<int>(adds)));                                                      \
  }
#define QUIRE_BY_COLUMNS(E, type, blocks, n, numbers, sums, at_a, at_b, at_adds)                         \
  QUIRE_DEV void multiply_columns(E, float(&c)[blocks][4], const unsigned(&a)[4], unsigned long long b,  \
                                  bool adds) {                                                           \
    asm volatile("{ .reg .pred adds; setp.ne.b32 adds, " at_adds                                         \
                 ", 0; "                                                                                 \
                 "wgmma.mma_async.sync.aligned.m64n" n "k16.f32." type "." type " {" numbers "}, {" at_a \
                 "}, " at_b ", adds, 1, 1, 1; }"                                                         \
                 : sums                                                                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(adds)));     \
  }
#define QUIRE_PRODUCTS(E, type)                                                                             \
  QUIRE_ROWS_BY_ROWS(E, type)                                                                               \
  QUIRE_BY_COLUMNS(E, type, 16, "128", QUIRE_NUMBERS_64, QUIRE_SUMS_64, "%64, %65, %66, %67", "%68", "%69") \
  QUIRE_BY_COLUMNS(E, type, 8, "64", QUIRE_NUMBERS_32, QUIRE_SUMS_32, "%32, %33, %34, %35", "%36", "%37")   \
  QUIRE_BY_COLUMNS(E, type, 4, "32", QUIRE_NUMBERS_16, QUIRE_SUMS_16, "%16, %17, %18, %19", "%20", "%21")   \
  QUIRE_BY_COLUMNS(E, type, 2, "16", QUIRE_NUMBERS_8, QUIRE_SUMS_8(0), "%8, %9, %10, %11", "%12", "%13")    \
  QUIRE_BY_COLUMNS(E, type, 1, "8", QUIRE_NUMBERS_4, QUIRE_SUMS_4(0), "%4, %5, %6, %7", "%8", "%9")

QUIRE_PRODUCTS(bf16, "bf16")
QUIRE_PRODUCTS(f16, "f16")

#undef QUIRE_NUMBERS_4
#undef QUIRE_NUMBERS_8
#undef QUIRE_NUMBERS_16
#undef QUIRE_NUMBERS_32
#undef QUIRE_NUMBERS_64
#undef QUIRE_SUMS_4
#undef QUIRE_SUMS_8
#undef QUIRE_SUMS_16
#undef QUIRE_SUMS_32
#undef QUIRE_SUMS_64
#undef QUIRE_ROWS_BY_ROWS
#undef QUIRE_BY_COLUMNS
#undef QUIRE_PRODUCTS

}  // namespace QUIRE_TARGET
}  // namespace quire
