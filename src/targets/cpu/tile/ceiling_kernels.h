// Kernels that measure the limits of this instruction-set level: reading memory, f32 multiply-adds, bf16
// dots.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {

namespace QUIRE_TARGET {

// The sum of 32-bit words modulo 2^32, which does not depend on their order. An item reads four streams, two
// cache lines of each at a time, and prefetches 512 bytes ahead. Of 46 patterns this is one of the best with
// vectors of 16, 32 and 64 bytes. Without the prefetch vectors of 16 bytes lose 15 %; non-temporal hints and
// loads lose a quarter or more. docs/ceilings.md has the figures.
struct CeilingRead {
  static void run(Program& program, const CeilingParams& p) {
    constexpr long kStreams = 4, kStep = 32, kAhead = 128;  // in f32
    constexpr int kVectors = kStep / kLanes;                // of a stream at a time
    VecU sum[kStreams] = {};
    for_each_work(program, p.num_work, [&](int item) {
      const long share = p.num_elems / p.num_work / (kStreams * kStep) * kStep;
      const float* from = p.data + item * share * kStreams;
      for (long i = 0; i < share; i += kStep) {
        for (long s = 0; s < kStreams; ++s) {
          const float* at = from + s * share + i;
          __builtin_prefetch(at + kAhead);
          __builtin_prefetch(at + kAhead + kStep / 2);
          for (int j = 0; j < kVectors; ++j) sum[s] += load_bits<VecU>(at + j * kLanes);
        }
      }
      if (item < p.num_work - 1) return;  // what is left over
      const float* end = p.data + p.num_elems;
      for (from += share * kStreams; from < end; ++from) sum[0][0] += load_bits<unsigned>(from);
    });
    for (int s = 1; s < kStreams; ++s) sum[0] += sum[s];
    unsigned all = 0;
    for (int j = 0; j < kLanes; ++j) all += sum[0][j];
    store_bits(p.sink + program.idx, all);
  }
};

// Enough independent chains to hide the latency of the instruction, all in registers.
template <class Step>
inline float run_chains(Program& program, const CeilingParams& p, const Step& step) {
  constexpr int kChains = 12;
  VecF acc[kChains] = {};
  for_each_work(program, p.num_work, [&](int) {
    for (long i = p.num_elems / p.num_work / (kChains * kLanes); i > 0; --i) {
      for (int j = 0; j < kChains; ++j) acc[j] = step(acc[j]);
    }
  });
  for (int j = 1; j < kChains; ++j) acc[0] += acc[j];
  return lane_sum(acc[0]);
}

struct CeilingFma {
  static void run(Program& program, const CeilingParams& p) {
    const VecF a = splat(p.data[0]), b = splat(p.data[1]);
    p.sink[program.idx] = run_chains(program, p, [&](VecF x) { return x * a + b; });
  }
};

// One of num_elems is an f32 sum to which two bf16 products are added or, on levels without bf16 dots, one
// f32 multiply-add.
struct CeilingDot {
  static void run(Program& program, const CeilingParams& p) {
#if defined(__AVX512BF16__)
    const VecU a = VecU{} + bit_cast_to<unsigned>(p.data[0]), b = VecU{} + bit_cast_to<unsigned>(p.data[1]);
    p.sink[program.idx] = run_chains(
        program, p, [&](VecF x) { return (VecF)_mm512_dpbf16_ps((__m512)x, (__m512bh)a, (__m512bh)b); });
#else
    CeilingFma::run(program, p);
#endif
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
