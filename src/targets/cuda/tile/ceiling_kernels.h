// Kernels that measure the limits of the chip: those of any machine of lanes, and bf16 matrix products. Each
// program writes a number that depends on all of its work.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

// After a blank line, so that it stays behind the language, which it needs.
#include "tile/lanes/lane_ceilings.h"

namespace quire {

namespace QUIRE_TARGET {

constexpr int kCeilingOperands = 4096;

// One of num_elems is an f32 sum to which two bf16 products are added; a matrix step of a warp has 1,024 of
// these, one of a warpgroup 65,536. The operands are kCeilingOperands random words: a chip that multiplies
// the same few bits all the time takes less power, and so runs at a higher clock, than with the numbers of a
// real problem (on an H200 913 instead of 846 TFLOP/s for some seconds).
#if QUIRE_WARPGROUPS
struct CeilingDot {
  static QUIRE_DEV void run(Program& program, const CeilingParams& p) {
    for_each_work(program, p.num_work, [&](int item) {
      // The right operand is 128 rows of 64 elements of k. Each half of these rows is also the left operand
      // of one of two chains of products.
      char* rows = shared_memory() + 2048;
      const unsigned* data = reinterpret_cast<const unsigned*>(p.data);
      for (int i = thread_idx(); i < kCeilingOperands; i += num_threads()) store_32(rows + 4 * i, data[i]);
      shared_memory_fence();
      block_barrier();
      float x[16][4] = {}, y[16][4] = {};
#pragma unroll 1
      for (long i = p.num_elems / p.num_work / 65536 / 8 / (num_warps() / 4); i > 0; --i) {
        warpgroup_fence();
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          const unsigned long long right = matrix_descriptor(rows + 32 * k, kRowChunks, 0);
          multiply_rows(bf16{}, x, right, right, true);
          multiply_rows(bf16{}, y, matrix_descriptor(rows + 8192 + 32 * k, kRowChunks, 0), right, true);
        }
        warpgroup_commit();
      }
      warpgroup_wait<0>();
      float sum = 0;
      for (int n = 0; n < 16; ++n) {
        for (int j = 0; j < 4; ++j) sum += x[n][j] + y[n][j];
      }
      sum = reduce_block(sum, [](float s, float t) { return s + t; });
      if (thread_idx() == 0) p.sink[item] = sum;
    });
  }
};
#else
struct CeilingDot {
  static QUIRE_DEV void run(Program& program, const CeilingParams& p) {
    for_each_work(program, p.num_work, [&](int item) {
      constexpr int kChains = 8;
      const unsigned* data = reinterpret_cast<const unsigned*>(p.data) + thread_idx() % 256;
      unsigned a[2][4], b[4][2];
      for (int j = 0; j < 4; ++j) {
        a[0][j] = data[256 * j], a[1][j] = data[256 * (4 + j)];
        b[j][0] = data[256 * (8 + j)], b[j][1] = data[256 * (12 + j)];
      }
      float x[kChains][4] = {};
      for (long i = p.num_elems / p.num_work / 1024 / kChains / num_warps(); i > 0; --i) {
#pragma unroll
        for (int j = 0; j < kChains; ++j) multiply_step(bf16{}, x[j], a[j % 2], b[j / 2][0], b[j / 2][1]);
      }
      float sum = 0;
      for (int j = 0; j < kChains; ++j) sum += x[j][0] + x[j][1] + x[j][2] + x[j][3];
      sum = reduce_block(sum, [](float s, float t) { return s + t; });
      if (thread_idx() == 0) p.sink[item] = sum;
    });
  }
};
#endif

}  // namespace QUIRE_TARGET
}  // namespace quire
