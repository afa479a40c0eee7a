// Linear layers of the cuda target. With many rows arithmetic is the limit: blocks of x and of W are in a
// ring that the whole program fills and reads. With few rows reading W is the limit: each warp has a part of
// k and streams it through a ring of its own, from one work item into the next; x is loaded to registers
// directly.
#pragma once

#include "targets/cuda/tile/pipeline.h"

namespace quire {
namespace QUIRE_TARGET {

// X is the element type of x, W the view of a packed weight.
template <class X, class W, int max_rows, int max_cols, int max_k>
struct LinearStage;

// A step of many rows: rows of x and rows of W, both [.., max_k].
template <class E, int max_rows, int max_cols, int max_k>
struct LinearStage<E, WeightView<E>, max_rows, max_cols, max_k> {
  static constexpr int kStrips = strips_of<E>(max_k);
  static constexpr bool kIsStream = false, kIsOfWarps = false;
  static constexpr int kStages = QUIRE_RING_STEPS;
  char* base;  // [kStages][x strips, W strips]
  char *x = nullptr, *w = nullptr;
  int in_dim = 0;
  int chunks = 0;  // of a row that products read

  QUIRE_DEV explicit LinearStage(Program& program)
      : base(program.take(kStages * kStrips * (max_rows + max_cols) * 128)) {}
  QUIRE_DEV void select(int step) {
    x = base + step % kStages * kStrips * (max_rows + max_cols) * 128;
    w = x + kStrips * max_rows * 128;
    set_chunks(step * max_k);
  }
  QUIRE_DEV void set_origin() {}
  QUIRE_DEV void set_chunks(int k_begin) {
    chunks = read_chunks<E>(in_dim - k_begin < max_k ? in_dim - k_begin : max_k);
  }
};

// Starts copying all rows of x and columns `cols` of the weight, with up to max_k elements of k from k_begin
// on; what is missing is zero.
template <class E, int max_rows, int max_cols, int max_k>
QUIRE_DEV void load_block(LinearStage<E, WeightView<E>, max_rows, max_cols, max_k>& stage,
                          const RowsView<E>& x, const WeightView<E>& weight, Range cols, int k_begin) {
  constexpr int kUnit = kChunkElems<E>;
  const int k_len = weight.in_dim - k_begin < max_k ? weight.in_dim - k_begin : max_k;
  const long w_stride = round_up(weight.in_dim, kUnit);
  stage.in_dim = weight.in_dim;
  stage.set_chunks(k_begin);
  const Chunks xs{stage.x, max_rows}, ws{stage.w, max_cols};
  for (int i = thread_idx(); i < (max_rows + max_cols) * stage.chunks; i += num_threads()) {
    const int row = i / stage.chunks, chunk = i % stage.chunks;
    if (row < max_rows) {
      copy_chunk(xs.at(row, chunk), row < x.num ? x.first + row * x.stride + k_begin : nullptr, chunk * kUnit,
                 k_len);
    } else {
      const int col = row - max_rows;
      copy_chunk(ws.at(col, chunk),
                 col < cols.size() ? weight.first + (cols.begin + col) * w_stride + k_begin : nullptr,
                 chunk * kUnit, round_up(k_len, kUnit));
    }
  }
}

// out += x W^T
template <class E, int max_rows, int max_cols, int max_k>
QUIRE_DEV void dot_add(Accum<max_rows, max_cols>& out,
                       const LinearStage<E, WeightView<E>, max_rows, max_cols, max_k>& s) {
  const Chunks x{s.x, max_rows}, w{s.w, max_cols};
  RowProduct<E, max_cols / 8>::run(out.x, x, warp_idx() * kFewRows, w, 0, 0, s.chunks / 2);
}

// A step of few rows: one warp's part of k. A slot holds rows of W as they are in memory, even rows first and
// then odd rows, which begin 64 bytes further on, so that neighbouring rows are in different banks. The order
// of k within a product is free as long as x and W agree: lane l reads chunk l % 4 of each four, and one
// matrix step takes the first half of it, the next step the second half.
template <class E, int max_cols, int max_k>
struct LinearStage<E, WeightView<E>, kFewRows, max_cols, max_k> {
  static constexpr bool kIsStream = true;
  static constexpr int kStages = QUIRE_RING_STEPS;
  static constexpr int kPart = max_k / kWarps, kRowBytes = kPart * static_cast<int>(sizeof(E)),
                       kChunks = kRowBytes / 16;
  static constexpr int kOddBytes = max_cols / 2 * kRowBytes + 64;  // from row 0 to row 1
  static constexpr int kBytes = max_cols * kRowBytes + 128;        // of a slot
  static constexpr int kRowsAtOnce = kLaneCount / kChunks;         // rows that a warp copies at once
  static constexpr int kPacedRows = 8;  // rows of a group of paced copies, see is_paced
  static_assert(kRowBytes % 128 == 0 && kRowsAtOnce >= 1 && max_cols % 8 == 0,
                "lanes take whole rows, in different banks");
  using PartOfX = unsigned[2][kChunks / 4][4];  // rows l / 4 and + 8, chunks 4 i + l % 4
  char* const base;                             // of this warp: [kStages][kBytes]
  RowsView<E> rows{};
  int in_dim = 0;
  bool x_has_chunks = false;  // rows of x begin at multiples of 16 bytes
  int fill_slot = 0;          // the slot that load_block fills
  bool is_paced = true;       // earlier launches may still run: only two groups of copies are in flight, so
                              // that these launches do not wait for memory
  int slot = 0, k = 0;        // the slot that is multiplied, and its first k
  int num_chunks = 0;         // of a row of that slot
  // x of the step that is multiplied, and of the one after it. f32 loads x when it multiplies instead.
  PartOfX x = {}, next_x = {};

  QUIRE_DEV explicit LinearStage(Program& program)
      : base(program.take(kWarps * kStages * kBytes) + warp_idx() * kStages * kBytes) {}

  QUIRE_DEV static int first_k(int step) { return step * max_k + warp_idx() * kPart; }
  QUIRE_DEV int chunks_from(int first) const {
    const int chunks = ceil_div(in_dim - first, kChunkElems<E>);
    return in_dim <= first ? 0 : chunks < kChunks ? chunks : kChunks;
  }
  QUIRE_DEV char* place(int at_slot, int row, int chunk) const {
    return base + at_slot * kBytes + row % 2 * kOddBytes + row / 2 * kRowBytes + chunk * 16;
  }

  // Row l / 4 + 8 `half` of x, or row 0 if there is no such row: its sums are not used.
  QUIRE_DEV const E* row_of_x(int half) const {
    const int row = lane_idx() / 4 + 8 * half;
    return rows.first + (row < rows.num ? row : 0) * rows.stride;
  }
  QUIRE_DEV void prefetch_x(int step) {
    if constexpr (sizeof(E) == 2) {
      load_x(next_x[0], row_of_x(0), first_k(step));
      if (rows.num > 8) load_x(next_x[1], row_of_x(1), first_k(step));
    }
  }
  QUIRE_DEV void load_x(unsigned (&to)[kChunks / 4][4], const E* row, int first) const {
    const int lane_k = first + lane_idx() % 4 * kChunkElems<E>;
    if (first + kPart <= in_dim && x_has_chunks) {
#pragma unroll
      for (int i = 0; i < kChunks / 4; ++i) load_bits(to[i], row + lane_k + 4 * i * kChunkElems<E>);
    } else {
#pragma unroll
      for (int i = 0; i < kChunks / 4; ++i) load_chunk(to[i], row, lane_k + 4 * i * kChunkElems<E>, in_dim);
    }
  }

  // Makes a slot the current one and waits until this warp's part of W is in it.
  QUIRE_DEV void select(int at_slot, int step) {
    slot = at_slot;
    k = first_k(step);
    num_chunks = chunks_from(k);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < kChunks / 4 * 4; ++i) x[half][i / 4][i % 4] = next_x[half][i / 4][i % 4];
    }
    copy_async_wait<kStages - 1>();
    warp_barrier();
  }
};

// Starts copying this warp's part of W. Of x only the view is kept: prefetch_x loads it.
template <class E, int max_cols, int max_k>
QUIRE_DEV void load_block(LinearStage<E, WeightView<E>, kFewRows, max_cols, max_k>& stage,
                          const RowsView<E>& x, const WeightView<E>& weight, Range cols, int k_begin) {
  using Stage = LinearStage<E, WeightView<E>, kFewRows, max_cols, max_k>;
  stage.rows = x;
  stage.in_dim = weight.in_dim;
  stage.x_has_chunks = address_of(x.first) % 16 == 0 && x.stride * static_cast<int>(sizeof(E)) % 16 == 0;
  const int k = k_begin + warp_idx() * Stage::kPart, first = lane_idx() / Stage::kChunks,
            chunk = lane_idx() % Stage::kChunks;
  if (chunk >= stage.chunks_from(k)) return;
  const long stride = round_up(weight.in_dim, kChunkElems<E>);
  const E* from = weight.first + (cols.begin + first) * stride + k + chunk * kChunkElems<E>;
#pragma unroll
  for (int row = 0; row < max_cols; row += Stage::kRowsAtOnce) {
    if (first + row >= cols.size()) break;
    copy_async_16(stage.place(stage.fill_slot, first + row, chunk), from + row * stride, true);
    if (stage.is_paced && (row + Stage::kRowsAtOnce) % Stage::kPacedRows == 0) {
      copy_async_commit();
      copy_async_wait<1>();
    }
  }
}

// sums[16 rows, columns] += this warp's part of x W^T. Columns that do not exist repeat the last one.
template <class E>
struct PartProduct {
  template <class Stage, int num_blocks>
  static QUIRE_DEV void run(float (&sums)[num_blocks][4], int cols, const Stage& s) {
    if (s.num_chunks == Stage::kChunks) {
      multiply<true>(sums, cols, s);
    } else {
      multiply<false>(sums, cols, s);
    }
  }
  template <bool whole, class Stage, int num_blocks>
  static QUIRE_DEV void multiply(float (&sums)[num_blocks][4], int cols, const Stage& s) {
    const char* col[num_blocks];
#pragma unroll
    for (int n = 0; n < num_blocks; ++n) {
      const int c = n * 8 + lane_idx() / 4;
      col[n] = s.place(s.slot, c < cols ? c : cols - 1, lane_idx() % 4);
    }
#pragma unroll
    for (int i = 0; i < Stage::kChunks / 4; ++i) {
#pragma unroll
      for (int n = 0; n < num_blocks; ++n) {
        unsigned w[4] = {};
        if (whole || 4 * i + lane_idx() % 4 < s.num_chunks) load_bits(w, col[n] + i * 64);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const unsigned a[4] = {s.x[0][i][2 * half], s.x[1][i][2 * half], s.x[0][i][2 * half + 1],
                                 s.x[1][i][2 * half + 1]};
          multiply_step(E{}, sums[n], a, w[2 * half], w[2 * half + 1]);
        }
      }
    }
  }
};
// The lanes of a quad have different columns. They take each four chunks in different orders, so that they
// read from different banks.
template <>
struct PartProduct<float> {
  static QUIRE_DEV float dot4(const unsigned (&a)[4], const unsigned (&b)[4]) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum += from_bits(a[i]) * from_bits(b[i]);
    return sum;
  }
  template <class Stage, int num_blocks>
  static QUIRE_DEV void run(float (&sums)[num_blocks][4], int cols, const Stage& s) {
#pragma unroll 2
    for (int i = 0; i < Stage::kChunks; ++i) {
      const int chunk = i / 4 * 4 + (i + lane_idx()) % 4;
      if (chunk >= s.num_chunks) continue;
      unsigned x[2][4];
      load_chunk(x[0], s.row_of_x(0), s.k + chunk * 4, s.in_dim);
      load_chunk(x[1], s.row_of_x(1), s.k + chunk * 4, s.in_dim);
#pragma unroll
      for (int n = 0; n < num_blocks; ++n) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const int col = n * 8 + lane_idx() % 4 * 2 + j;
          if (col >= cols) continue;
          unsigned w[4];
          load_bits(w, s.place(s.slot, col, chunk));
          sums[n][j] += dot4(x[0], w);
          sums[n][2 + j] += dot4(x[1], w);
        }
      }
    }
  }
};
template <class E, int max_cols, int max_k>
QUIRE_DEV void dot_add(Accum<kFewRows, max_cols>& out,
                       const LinearStage<E, WeightView<E>, kFewRows, max_cols, max_k>& s) {
  if (s.num_chunks > 0) PartProduct<E>::run(out.x, out.cols, s);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
