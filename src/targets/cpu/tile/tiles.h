// Tiles of the CPU target: plain row-major memory in the program's scratch arena, with the whole-tile
// operations on it. An active part (rows, cols) is kept with each tile, so that a decode of one row costs one
// row.
#pragma once

#include "targets/cpu/tile/math.h"
#include "targets/cpu/tile/panel.h"

namespace quire {
namespace QUIRE_TARGET {

// One instance of a kernel: a task with a scratch arena of its own.
struct Program {
  char* scratch;
  unsigned long scratch_bytes;
  int* next_item;  // shared by all programs of a launch, taken atomically
  int idx;         // among them
  unsigned long scratch_used = 0;

  // Memory for a tile until the current work item ends; 64-byte aligned, contents undefined. The host sized
  // the arena for the kernel's tiles (see scratch_bytes of the kernel table), so it cannot run out.
  template <class T>
  T* take(long num_elems) {
    char* p = scratch + scratch_used;
    scratch_used += (static_cast<unsigned long>(num_elems) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(p);
  }
};

// Rows are 16 elements longer than what they hold: with a stride that is a power of two all rows would share
// a few cache sets.
constexpr int padded_cols(int cols) { return cols + 16; }

template <int max_rows>
struct Row {
  static_assert(max_rows % kPanelCols == 0, "whole vectors");
  float value[max_rows];
  float operator[](int r) const { return value[r]; }
};

template <int max_rows, int max_cols>
struct Accum {
  static constexpr int kStride = padded_cols(max_cols);
  static_assert(max_rows % kPanelCols == 0 && max_cols % 8 == 0, "rows in 16s, columns in 8s");
  float* data;  // [max_rows, kStride]
  int rows = 0, cols = 0;

  Accum(const Accum&) = delete;  // a copy would share the memory
  explicit Accum(Program& program) : data(program.take<float>(long{max_rows} * kStride)) {}
  float* row(int r) const { return data + long{r} * kStride; }
};

template <int max_rows, int max_keys>
struct Scores : Accum<max_rows, max_keys> {
  using Accum<max_rows, max_keys>::Accum;
};

template <class E, int max_rows, int max_k>
struct Operand {
  using Left = typename DotTraits<E>::Left;
  static constexpr int kStride = padded_cols(max_k);
  Left* data;  // [max_rows, kStride]; an odd k is padded with a zero
  int rows = 0, k_len = 0;

  Operand(const Operand&) = delete;
  explicit Operand(Program& program) : data(program.take<Left>(long{max_rows} * kStride)) {}
  Left* row(int r) const { return data + long{r} * kStride; }
};

// Copies n elements with conversion between any of f32, f16, bf16.
template <class To, class From>
QUIRE_DEV void convert_row(To* to, const From* from, int n) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) store_lanes(to + i, load_lanes(from + i));
  if (i < n) {
    From source[kLanes] = {};
    To target[kLanes];
    for (int j = 0; j < n - i; ++j) source[j] = from[i + j];
    store_lanes(target, load_lanes(source));
    for (int j = 0; j < n - i; ++j) to[i + j] = target[j];
  }
}

// row[r] = f(r), and *pointer(r) = row[r].
template <int max_rows, class F>
QUIRE_DEV void gather_row(Row<max_rows>& row, int rows, const F& f) {
  for (int r = 0; r < rows; ++r) row.value[r] = f(r);
}
template <int max_rows, class Pointer>
QUIRE_DEV void scatter_row(const Row<max_rows>& row, int rows, const Pointer& pointer) {
  for (int r = 0; r < rows; ++r) *pointer(r) = row.value[r];
}

// Row r is read from row_pointer(r). Elements past k_len up to a whole pair are zero.
template <class E, int max_rows, int max_k, class RowPointer>
inline void load_rows(Operand<E, max_rows, max_k>& tile, int rows, int k_len, const RowPointer& row_pointer) {
  tile.rows = rows;
  tile.k_len = k_len;
  for (int r = 0; r < rows; ++r) {
    const E* from = row_pointer(r);  // of the operand's own type, as on all targets
    convert_row(tile.row(r), from, k_len);
    if (k_len % 2 != 0) tile.row(r)[k_len] = {};
  }
}

// Row r goes to row_pointer(r), rounded to its element type.
template <int max_rows, int max_cols, class RowPointer>
inline void store_rows(const Accum<max_rows, max_cols>& tile, int rows, int cols,
                       const RowPointer& row_pointer) {
  for (int r = 0; r < rows; ++r) convert_row(row_pointer(r), tile.row(r), cols);
}

// The same with row r multiplied by factor[r].
template <int max_rows, int max_cols, class RowPointer>
inline void store_rows(const Accum<max_rows, max_cols>& tile, const Row<max_rows>& factor, int rows, int cols,
                       const RowPointer& row_pointer) {
  for (int r = 0; r < rows; ++r) {
    float* x = tile.row(r);
    for (int i = 0; i < cols; i += kLanes) store_lanes(x + i, load_lanes(x + i) * factor[r]);
    convert_row(row_pointer(r), x, cols);
  }
}

template <int max_rows, int max_cols>
inline void fill(Accum<max_rows, max_cols>& tile, int rows, int cols, float x) {
  tile.rows = rows;
  tile.cols = cols;
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < cols; i += kLanes) store_lanes(tile.row(r) + i, splat(x));
  }
}

// out[r] = f(r, inputs[r]...) for the first `rows` rows; out may be one of the inputs.
template <int max_rows, class F, class... Inputs>
QUIRE_DEV void row_map(Row<max_rows>& out, int rows, const F& f, const Inputs&... inputs) {
  static_assert((kIsRow<Inputs, max_rows> && ...),
                "row_map(out, rows, f, inputs...) takes rows of one length");
  for (int r = 0; r < rows; r += kLanes)
    store_lanes(out.value + r, f(iota(r), load_lanes(inputs.value + r)...));
}

template <int max_rows, int max_keys, class F, class... Rows>
QUIRE_DEV void each(Scores<max_rows, max_keys>& tile, const F& f, const Rows&... rows) {
  static_assert((kIsRow<Rows, max_rows> && ...),
                "each(scores, f, rows...) takes rows as long as the tile has rows");
  for (int r = 0; r < tile.rows; ++r) {
    float* x = tile.row(r);
    for (int i = 0; i < tile.cols; i += kLanes) store_lanes(x + i, f(iota(i), load_lanes(x + i), rows[r]...));
  }
}

template <int max_rows, int max_keys>
inline void row_max(Row<max_rows>& row, const Scores<max_rows, max_keys>& tile) {
  for (int r = 0; r < tile.rows; ++r) {
    const float* x = tile.row(r);
    VecF most = load_lanes(x);
    VecF other = most;  // two chains, for the latency of max
    for (int i = kLanes; i + kLanes < tile.cols; i += 2 * kLanes) {
      most = vec_max(load_lanes(x + i), most);
      other = vec_max(load_lanes(x + i + kLanes), other);
    }
    if (tile.cols / kLanes % 2 == 0) most = vec_max(load_lanes(x + tile.cols - kLanes), most);
    row.value[r] = vec_max(lane_max(vec_max(other, most)), row.value[r]);
  }
}

// x := exp2(scale (x - m)), d += row sum. A row whose m is -inf holds only -inf and becomes 0.
template <int max_rows, int max_keys>
inline void exp2_rows(Scores<max_rows, max_keys>& tile, float scale, const Row<max_rows>& m,
                      Row<max_rows>& d) {
  for (int r = 0; r < tile.rows; ++r) {
    float* x = tile.row(r);
    const float base = m[r] == kNegInf ? 0.0f : m[r] * scale;
    VecF sum{};
    for (int i = 0; i < tile.cols; i += kLanes) {
      const VecF p = exp2_bounded(load_lanes(x + i) * scale - base);
      sum += p;
      store_lanes(x + i, p);
    }
    d.value[r] += lane_sum(sum);
  }
}
template <int max_rows>
QUIRE_DEV void complete_sum(Row<max_rows>&) {}

template <int max_rows, int max_cols>
inline void row_scale(Accum<max_rows, max_cols>& tile, const Row<max_rows>& factor) {
  for (int r = 0; r < tile.rows; ++r) {
    if (factor[r] == 1.0f) continue;  // exact, and the common case once the maximum has settled
    float* x = tile.row(r);
    for (int i = 0; i < tile.cols; i += kLanes) store_lanes(x + i, load_lanes(x + i) * factor[r]);
  }
}

// Probabilities as the left operand of the next dot. In place: a row of bf16 overwrites the start of its row
// of f32.
template <class Left, int max_rows, int max_cols>
inline RowBlock<Left> convert(Accum<max_rows, max_cols>& tile) {
  using Tile = Accum<max_rows, max_cols>;
  if constexpr (sizeof(Left) == sizeof(float)) {
    return {nullptr, 0, tile.data, Tile::kStride, false};
  } else {
    for (int r = 0; r < tile.rows; ++r) {
      convert_row(reinterpret_cast<Left*>(tile.row(r)), tile.row(r), tile.cols);
    }
    return {nullptr, 0, reinterpret_cast<const Left*>(tile.data), 2 * Tile::kStride, false};
  }
}

}  // namespace QUIRE_TARGET
}  // namespace quire
