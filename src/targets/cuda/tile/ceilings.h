// What the chip can do: reading memory, f32 multiply-adds, bf16 matrix steps. Each program writes a number that depends on all
// of its work.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {

namespace QUIRE_TARGET {

struct CeilingRead {
  static QUIRE_DEV void run(Program& program, const CeilingParams& p) {
    for_each_work(program, p.num_work, [&](int item) {
      constexpr int kInFlight = 8;
      const long share = p.num_elems / p.num_work / 4;
      const float* from = p.data + item * share * 4;
      float sum = 0;
      for (long i = thread_idx(); i < share; i += long{kInFlight} * num_threads()) {
        Values4 x[kInFlight] = {};
#pragma unroll
        for (int j = 0; j < kInFlight; ++j) {
          if (i + long{j} * num_threads() < share) x[j] = load_128(from + 4 * (i + long{j} * num_threads()));
        }
#pragma unroll
        for (int j = 0; j < kInFlight; ++j) sum += x[j].x + x[j].y + x[j].z + x[j].w;
      }
      sum = reduce_block(sum, [](float a, float b) { return a + b; });
      if (thread_idx() == 0) p.sink[item] = sum;
    });
  }
};

struct CeilingFma {
  static QUIRE_DEV void run(Program& program, const CeilingParams& p) {
    for_each_work(program, p.num_work, [&](int item) {
      constexpr int kChains = 16;
      const float a = p.data[0], b = p.data[1];
      float x[kChains] = {};
      for (long i = p.num_elems / p.num_work / kChains / num_threads(); i > 0; --i) {
#pragma unroll
        for (int j = 0; j < kChains; ++j) x[j] = x[j] * a + b;
      }
      float sum = 0;
      for (int j = 0; j < kChains; ++j) sum += x[j];
      sum = reduce_block(sum, [](float s, float t) { return s + t; });
      if (thread_idx() == 0) p.sink[item] = sum;
    });
  }
};

// num_elems counts f32 sums of a pair of bf16 products; a matrix step of a warp has 1,024 of them, one of a warpgroup 65,536.
#if QUIRE_WARPGROUPS
struct CeilingDot {
  static QUIRE_DEV void run(Program& program, const CeilingParams& p) {
    for_each_work(program, p.num_work, [&](int item) {
      const unsigned bits = bits_of(p.data[0]);
      unsigned* right = reinterpret_cast<unsigned*>(shared_memory() + 2048);
      for (int i = thread_idx(); i < 4096; i += num_threads()) right[i] = bits;
      shared_memory_fence();
      block_barrier();
      const unsigned long long b = matrix_descriptor(right, 0);
      float x[16][4], y[16][4];
      warpgroup_fence();
      multiply_rows(bf16{}, x, b, b, false);
      multiply_rows(bf16{}, y, b, b, false);
      for (long i = p.num_elems / p.num_work / 65536 / 8 / (num_warps() / 4); i > 0; --i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          multiply_rows(bf16{}, x, b, b, true);
          multiply_rows(bf16{}, y, b, b, true);
        }
        warpgroup_commit();
      }
      warpgroup_commit();
      warpgroup_wait<0>();
      float sum = 0;
      for (int n = 0; n < 16; ++n) sum += x[n][0] + y[n][3];
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
      const unsigned bits = bits_of(p.data[0]);
      const unsigned a[4] = {bits, bits, bits, bits};
      float x[kChains][4] = {};
      for (long i = p.num_elems / p.num_work / 1024 / kChains / num_warps(); i > 0; --i) {
#pragma unroll
        for (int j = 0; j < kChains; ++j) multiply_step(bf16{}, x[j], a, bits, bits);
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
