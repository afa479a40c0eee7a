// Kernels that measure the limits of a machine of lanes: reading memory and f32 multiply-adds. Each program
// writes a number that depends on all of its work, so that the compiler can remove none of it. Included after
// the tile language and CeilingParams.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

// The sum of 32-bit words modulo 2^32, which does not depend on their order. Program p of n reads the pieces
// p, p + n, p + 2n and so on, so that all programs together move through memory as one front. A thread has
// loads of 256 bytes in flight; num_work is the number of programs, and so determines the bytes in flight on
// each multiprocessor. With the best num_work this is as fast as the best of 187 other readers on an H200,
// one with bulk copies; docs/ceilings.md has the figures.
struct CeilingRead {
  static QUIRE_DEV void run(Program& program, const CeilingParams& p) {
    for_each_work(program, p.num_work, [&](int item) {
      constexpr int kInFlight = 16;
      const long row = 4L * num_threads(), piece = kInFlight * row, front = piece * p.num_work;
      unsigned sum = 0;
      long first = item * piece;
      for (; first + piece <= p.num_elems; first += front) {
        const float* from = p.data + first + 4 * thread_idx();
        unsigned x[kInFlight][4];
#pragma unroll
        for (int j = 0; j < kInFlight; ++j) load_bits(x[j], from + j * row);
#pragma unroll
        for (int j = 0; j < kInFlight; ++j) sum += x[j][0] + x[j][1] + x[j][2] + x[j][3];
      }
      for (long i = first + 4 * thread_idx(); i < p.num_elems; i += row) {  // less than a piece is left
        unsigned x[4];
        load_bits(x, p.data + i);
        sum += x[0] + x[1] + x[2] + x[3];
      }
      const auto add = [](float a, float b) { return from_bits(bits_of(a) + bits_of(b)); };
      const float all = reduce_block(from_bits(sum), add);
      if (thread_idx() == 0) store_32(p.sink + item, bits_of(all));
    });
  }
};

struct CeilingFma {
  static QUIRE_DEV void run(Program& program, const CeilingParams& p) {
    for_each_work(program, p.num_work, [&](int item) {
      constexpr int kChains = 16;
      const float a = p.data[0], b = p.data[1];
      float x[kChains] = {};
#pragma unroll 8
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

}  // namespace QUIRE_TARGET
}  // namespace quire
