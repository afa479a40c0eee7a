// y = x W^T + bias with packed weights. Two configurations of one text: few rows, bound by reading W, keep all of W's panel of
// k in one pass; many rows, bound by arithmetic, keep a block of x and of W in cache.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {
namespace QUIRE_TARGET {

// E: element type of x, W and bias. Out: of y. Config: kRows, kCols (output tile), kDepth (of one step along k).
template <class E, class Out, class Config>
struct Linear {
  static constexpr int kRows = Config::kRows, kCols = Config::kCols, kDepth = Config::kDepth;

  static QUIRE_DEV void run(Program& program, const LinearParams& p) {
    const Cut row_tiles = cut_by(p.num_rows, kRows), col_tiles = cut_columns<kRows>(p.out_dim, kCols);
    const bool is_one = row_tiles.num == 1;  // spares divisions
    const auto rows_of = [&](int item) { return row_tiles.at(is_one ? 0 : item % row_tiles.num); };
    const auto cols_of = [&](int item) { return col_tiles.at(is_one ? item : item / row_tiles.num); };
    const WeightView<E> weight{static_cast<const E*>(p.weight), p.in_dim, p.out_dim};
    Accum<kRows, kCols> acc(program);
    LinearStage<E, kRows, kCols, kDepth> stage(program);
    pipeline_work(
        program, row_tiles.num * col_tiles.num, ceil_div(p.in_dim, kDepth), stage,
        [&](auto& to, int item, int step) {
          const Range rows = rows_of(item);
          const RowsView<E> x{static_cast<const E*>(p.x) + rows.begin * p.x_stride, p.x_stride, rows.size()};
          load_block(to, x, weight, cols_of(item), step * kDepth);
        },
        [&](const auto& block, int item, int step) {
          if (step == 0) fill(acc, rows_of(item).size(), cols_of(item).size(), 0.0f);
          dot_add(acc, block);
        },
        [&](int item) { finish(acc, p, rows_of(item), cols_of(item)); });
  }

  static QUIRE_DEV void finish(Accum<kRows, kCols>& acc, const LinearParams& p, Range rows, Range cols) {
    if (p.bias != nullptr) {
      const E* bias = static_cast<const E*>(p.bias) + cols.begin;
      each_span(acc, cols.size(), [&](auto i, auto value) { return value + load(bias, i); });
    }
    Out* y = static_cast<Out*>(p.y) + rows.begin * p.y_stride + cols.begin;
    store_rows(acc, rows.size(), cols.size(), [&](int r) { return y + r * p.y_stride; });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
