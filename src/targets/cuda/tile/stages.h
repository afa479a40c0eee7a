// Matrix steps with right operands in shared memory: keys, values and weights, which are rows of swizzled
// chunks. A row of keys or weights is one column of the product; a row of values is one element of k.
#pragma once

#if QUIRE_PRODUCER
#include "targets/cuda/tile/producer_ring.h"
#else
#include "targets/cuda/tile/thread_ring.h"
#endif

namespace quire {
namespace QUIRE_TARGET {

// The left fragment of 16 rows from row `first` on and of the 16 elements of k in chunks 2 step and 2 step
// + 1.
QUIRE_DEV void load_left(unsigned (&a)[4], const Chunks& rows, int first, int step) {
  load_matrix(a, rows.of_step(first + lane_idx() % 16, step, lane_idx() / 16));
}
// The right fragments {b0, b1} and {b2, b3} of two blocks of 8 columns, which are 16 rows of keys or weights.
// Rows is Chunks or StripChunks.
template <class Rows>
QUIRE_DEV void load_right(unsigned (&b)[4], const Rows& rows, int first, int step) {
  load_matrix(b, rows.of_step(first + lane_idx() / 16 * 8 + lane_idx() % 8, step, lane_idx() / 8 % 2));
}
// The same for values: 16 rows are 16 elements of k, and the columns are in chunks 2 pair and 2 pair + 1.
template <class Rows>
QUIRE_DEV void load_right_transposed(unsigned (&b)[4], const Rows& rows, int first, int pair) {
  load_matrix_transposed(b, rows.of_step(first + lane_idx() % 16, pair, lane_idx() / 16));
}

// c[16 rows, 8 num_blocks columns] += left rows times right rows, over pairs of chunks [begin, end) of both.
// This warp's rows begin at `first_left` and `first_right`.
template <class E, int num_blocks>
struct RowProduct {
  static constexpr int kStepsAtOnce =
      num_blocks < 8 ? 8 : 4;  // attention has no registers for more steps of wide tiles
  template <class Right>
  static QUIRE_DEV void run(float (&c)[num_blocks][4], const Chunks& left, int first_left, const Right& right,
                            int first_right, int begin, int end) {
#pragma unroll kStepsAtOnce
    for (int step = begin; step < end; ++step) {
      unsigned a[4];
      load_left(a, left, first_left, step);
#pragma unroll
      for (int n = 0; n < num_blocks; n += 2) {
        unsigned b[4];
        load_right(b, right, first_right + n * 8, step);
        multiply_step(E{}, c[n], a, b[0], b[1]);
        if (n + 1 < num_blocks) multiply_step(E{}, c[n + 1], a, b[2], b[3]);
      }
    }
  }
};
// f32 uses plain multiply-adds, because a matrix step would round its inputs to tf32.
template <int num_blocks>
struct RowProduct<float, num_blocks> {
  static QUIRE_DEV float elem(const Chunks& rows, int row, int k) {
    return reinterpret_cast<const float*>(rows.at(row, k / 4))[k % 4];
  }
  static QUIRE_DEV void run(float (&c)[num_blocks][4], const Chunks& left, int first_left,
                            const Chunks& right, int first_right, int begin, int end) {
    const int row = first_left + lane_idx() / 4, col = first_right + lane_idx() % 4 * 2;
    for (int k = begin * 8; k < end * 8; ++k) {
      const float a[2] = {elem(left, row, k), elem(left, row + 8, k)};
#pragma unroll
      for (int n = 0; n < num_blocks; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) c[n][i] += a[i / 2] * elem(right, col + n * 8 + i % 2, k);
      }
    }
  }
};

template <class E, int max_rows, int max_k, int max_keys>
QUIRE_DEV void multiply_keys(Scores<max_rows, max_keys>& scores, const Operand<E, max_rows, max_k>& q,
                             const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage) {
  constexpr bool kFew = max_rows == kFewRows;
#pragma unroll
  for (int n = 0; n < scores.kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores.x[n][i] = 0;
  }
  constexpr int kBlocks = Scores<max_rows, max_keys>::kBlocks;
  RowProduct<E, kBlocks>::run(scores.x, q.chunks(), kFew ? 0 : warp_idx() * kFewRows,
                              stage.template keys<max_k>(), kFew ? warp_idx() * kBlocks * 8 : 0, 0,
                              stage.k_steps());
}

// out[16 rows, cols] += this warp's probabilities times the values of 8 num_key_blocks keys from first_key
// on.
template <class E, int num_key_blocks, int num_blocks>
struct ValueProduct {
  template <class Values>
  static QUIRE_DEV void run(float (&out)[num_blocks][4], const float (&p)[num_key_blocks][4],
                            const Values& values, int first_key, int num_chunks, char*) {
    static_assert(num_key_blocks % 2 == 0, "whole matrix steps");
#pragma unroll
    for (int step = 0; step < num_key_blocks / 2; ++step) {
      unsigned a[4];
      pack_left<E>(a, p, step);
#pragma unroll
      for (int n = 0; n < num_blocks; n += 2) {
        if (n >= num_chunks) break;
        unsigned b[4];
        load_right_transposed(b, values, first_key + step * 16, n / 2);
        multiply_step(E{}, out[n], a, b[0], b[1]);
        if (n + 1 < num_blocks) multiply_step(E{}, out[n + 1], a, b[2], b[3]);
      }
    }
  }
};
template <int num_key_blocks, int num_blocks>
struct ValueProduct<float, num_key_blocks, num_blocks> {
  // The probabilities go through shared memory, because each lane needs whole rows. A warp reads only what it
  // has written itself.
  static QUIRE_DEV void run(float (&out)[num_blocks][4], const float (&p)[num_key_blocks][4],
                            const Chunks& values, int first_key, int num_chunks, char* memory) {
    constexpr int kKeys = num_key_blocks * 8;
    float* probs = reinterpret_cast<float*>(memory) + warp_idx() * kFewRows * kKeys;
    const int row = lane_idx() / 4, col = lane_idx() % 4 * 2;
    warp_barrier();
    for (int n = 0; n < num_key_blocks; ++n) {
      for (int i = 0; i < 4; ++i) probs[(row + i / 2 * 8) * kKeys + n * 8 + col + i % 2] = p[n][i];
    }
    warp_barrier();
    for (int k = 0; k < kKeys; ++k) {
      const float a[2] = {probs[row * kKeys + k], probs[(row + 8) * kKeys + k]};
#pragma unroll
      for (int n = 0; n < num_blocks; ++n) {
        if (n * 2 >= num_chunks) break;
        const float* v = reinterpret_cast<const float*>(values.at(first_key + k, n * 2 + col / 4)) + col % 4;
#pragma unroll
        for (int i = 0; i < 4; ++i) out[n][i] += a[i / 2] * v[i % 2];
      }
    }
  }
};

template <class E, int max_rows, int max_keys, int max_out>
QUIRE_DEV void multiply_values(Accum<max_rows, max_out>& out, const Scores<max_rows, max_keys>& probs,
                               const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage) {
  constexpr int kBlocks = Scores<max_rows, max_keys>::kBlocks;
  const int first_key = max_rows == kFewRows ? warp_idx() * kBlocks * 8 : 0;
  ValueProduct<E, kBlocks, max_out / 8>::run(out.x, probs.x, stage.template values<max_out>(), first_key,
                                             stage.v_chunks, stage.probs);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
