// Rows and scores that lie in registers as fragments of a matrix step, and the operations on them. For any
// machine of lanes; included after the target's program.h, whose struct Fragment says which elements of a
// block of sums a lane holds. A block has 16 rows (kFewRows) and kCols columns:
//   kRows, kLaneCols              the numbers of rows and columns of a block that a lane holds; its register
//   i
//                                 is element (i / kLaneCols, i % kLaneCols) of these
//   first_row(), row_offset(i)    their sum is the i-th row that the lane holds
//   first_col(), col_offset(i)    their sum is the i-th column that the lane holds
//   kRowLanes, kRowLaneStep       the number of lanes that hold the same rows, and the distance between them
#pragma once

namespace quire {
namespace QUIRE_TARGET {

constexpr int kManyRows = kFewRows * kWarps;
constexpr int kFragmentRegisters = Fragment::kRows * Fragment::kLaneCols;  // of a lane, in a block

// Defined by the target, with f32 x[kBlocks][kFragmentRegisters] in each lane. Accum holds sums; Scores holds
// scores, of which a warp has the columns from first_col() on.
template <int max_rows, int max_cols>
struct Accum;
template <int max_rows, int max_keys>
struct Scores;

template <int max_rows>
QUIRE_DEV int first_row() {
  static_assert(max_rows == kFewRows || max_rows == kManyRows, "16 rows, or 16 a warp");
  return Fragment::first_row() + (max_rows == kFewRows ? 0 : warp_idx() * kFewRows);
}
// Whether this warp writes a row: where all warps have the same rows, the first one does.
template <int max_rows>
QUIRE_DEV bool speaks_for_rows() {
  return max_rows != kFewRows || warp_idx() == 0;
}

// One f32 a row: value[i] belongs to row first_row() + row_offset(i). It is equal in all lanes that hold that
// row and, for 16 rows, in all warps after a join.
template <int max_rows>
struct Row {
  float value[Fragment::kRows] = {};
};

template <int max_rows, class F>
QUIRE_DEV void gather_row(Row<max_rows>& row, int rows, const F& f) {
  for (int i = 0; i < Fragment::kRows; ++i) {
    const int r = first_row<max_rows>() + Fragment::row_offset(i);
    row.value[i] = r < rows ? f(r) : 0.0f;
  }
}
template <int max_rows, class Pointer>
QUIRE_DEV void scatter_row(const Row<max_rows>& row, int rows, const Pointer& pointer) {
  if (is_producer() || lane_idx() / Fragment::kRowLaneStep % Fragment::kRowLanes != 0 ||
      !speaks_for_rows<max_rows>())
    return;
  for (int i = 0; i < Fragment::kRows; ++i) {
    const int r = first_row<max_rows>() + Fragment::row_offset(i);
    if (r < rows) *pointer(r) = row.value[i];
  }
}
template <int max_rows, class F, class... Inputs>
QUIRE_DEV void row_map(Row<max_rows>& out, int, const F& f, const Inputs&... inputs) {
  static_assert((kIsRow<Inputs, max_rows> && ...),
                "row_map(out, rows, f, inputs...) takes rows of one length");
  for (int i = 0; i < Fragment::kRows; ++i)
    out.value[i] = f(first_row<max_rows>() + Fragment::row_offset(i), inputs.value[i]...);
}

template <int max_rows, int max_cols>
QUIRE_DEV void fill(Accum<max_rows, max_cols>& tile, int rows, int cols, float x) {
  tile.rows = rows;
  tile.cols = cols;
  const bool is_part = !speaks_for_rows<max_rows>();
#pragma unroll
  for (int n = 0; n < tile.kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < kFragmentRegisters; ++i) tile.x[n][i] = is_part ? 0.0f : x;
  }
}

// A column of a tile. Conversions from int to float are slow: a lane converts its first column once, and the
// others add a constant.
struct Column {
  float first;
  int offset;
};
QUIRE_DEV float to_f32(Column col) { return col.first + static_cast<float>(col.offset); }

template <int max_rows, int max_keys, class F, class... Rows>
QUIRE_DEV void each(Scores<max_rows, max_keys>& tile, const F& f, const Rows&... rows) {
  static_assert((kIsRow<Rows, max_rows> && ...),
                "each(scores, f, rows...) takes rows as long as the tile has rows");
  float first = to_f32(tile.first_col());
  pin(first);  // keeps the compiler from computing all columns before the loop over tiles and spilling them
#pragma unroll
  for (int n = 0; n < tile.kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < kFragmentRegisters; ++i) {
      const Column col{first, n * Fragment::kCols + Fragment::col_offset(i % Fragment::kLaneCols)};
      tile.x[n][i] = f(col, tile.x[n][i], rows.value[i / Fragment::kLaneCols]...);
    }
  }
}

// Joins the values of the lanes that hold the same rows; all of them receive the result.
template <class Join>
QUIRE_DEV float join_lanes(float x, const Join& join) {
#pragma unroll
  for (int i = 1; i < Fragment::kRowLanes; i *= 2) x = join(x, shuffle_xor(x, i * Fragment::kRowLaneStep));
  return x;
}

// For 16 rows: joins the values that the warps have for each row. Callers alternate between slots 0 and 1 of
// the exchange memory, so that one barrier a call is enough.
template <int max_rows, class Join>
QUIRE_DEV void join_row(float (&x)[Fragment::kRows], int slot, const Join& join) {
  if (is_producer()) return;
  if constexpr (max_rows == kFewRows) {
    float* values = exchange_values() + slot * kWarps * kFewRows;
    if (lane_idx() / Fragment::kRowLaneStep % Fragment::kRowLanes == 0) {
      for (int i = 0; i < Fragment::kRows; ++i)
        values[warp_idx() * kFewRows + first_row<max_rows>() + Fragment::row_offset(i)] = x[i];
    }
    consumer_barrier();
    for (int i = 0; i < Fragment::kRows; ++i) {
      x[i] = values[first_row<max_rows>() + Fragment::row_offset(i)];
      for (int w = 1; w < kWarps; ++w)
        x[i] = join(x[i], values[w * kFewRows + first_row<max_rows>() + Fragment::row_offset(i)]);
    }
  }
}

// With 16 rows each warp is a part of the program, in the sense of tile.h.
template <int max_rows>
QUIRE_DEV void join_max(Row<max_rows>& row) {
  join_row<max_rows>(row.value, 0, [](float a, float b) { return vec_max(a, b); });
}
template <int max_rows>
QUIRE_DEV void join_sum(Row<max_rows>& row) {
  join_row<max_rows>(row.value, 1, [](float a, float b) { return a + b; });
}

template <int max_rows, int max_keys>
QUIRE_DEV void row_max(Row<max_rows>& row, const Scores<max_rows, max_keys>& tile) {
  float most[kFragmentRegisters];  // independent chains, since each maximum waits for the one before it
#pragma unroll
  for (int n = 0; n < tile.kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < kFragmentRegisters; ++i)
      most[i] = n == 0 ? tile.x[0][i] : vec_max(most[i], tile.x[n][i]);
  }
  for (int i = 0; i < Fragment::kRows; ++i) {
    float of_lane = most[i * Fragment::kLaneCols];
#pragma unroll
    for (int j = 1; j < Fragment::kLaneCols; ++j)
      of_lane = vec_max(of_lane, most[i * Fragment::kLaneCols + j]);
    row.value[i] = vec_max(row.value[i], join_lanes(of_lane, [](float a, float b) { return vec_max(a, b); }));
  }
}

// x := exp2(scale (x - m)), d += row sum, of which each of a row's lanes has a part. A row whose maximum is
// -inf holds only -inf and becomes 0. Each exponential is added to the sum kLag blocks later, so that the
// addition does not wait for it.
template <int max_rows, int max_keys>
QUIRE_DEV void exp2_rows(Scores<max_rows, max_keys>& tile, float scale, const Row<max_rows>& m,
                         Row<max_rows>& d) {
  constexpr int kLag = 2;  // blocks
  float sum[Fragment::kRows] = {}, base[Fragment::kRows];
  for (int i = 0; i < Fragment::kRows; ++i) base[i] = m.value[i] == kNegInf ? 0.0f : m.value[i] * scale;
#pragma unroll
  for (int n = 0; n < tile.kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < kFragmentRegisters; ++i) {
      tile.x[n][i] = exp2(tile.x[n][i] * scale - base[i / Fragment::kLaneCols]);
      if (n >= kLag) sum[i / Fragment::kLaneCols] += tile.x[n - kLag][i];
    }
  }
#pragma unroll
  for (int n = tile.kBlocks > kLag ? tile.kBlocks - kLag : 0; n < tile.kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < kFragmentRegisters; ++i) sum[i / Fragment::kLaneCols] += tile.x[n][i];
  }
  for (int i = 0; i < Fragment::kRows; ++i) d.value[i] += sum[i];
}
template <int max_rows>
QUIRE_DEV void complete_sum(Row<max_rows>& d) {
  if (is_producer()) return;
  for (int i = 0; i < Fragment::kRows; ++i)
    d.value[i] = join_lanes(d.value[i], [](float a, float b) { return a + b; });
}

}  // namespace QUIRE_TARGET
}  // namespace quire
