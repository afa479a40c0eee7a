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
    const int row_tiles = ceil_div(p.num_rows, kRows);
    for_each_work(program, row_tiles * ceil_div(p.out_dim, kCols), [&](int item) {
      tile(program, p, item % row_tiles * kRows, item / row_tiles * kCols);
    });
  }

  static QUIRE_DEV void tile(Program& program, const LinearParams& p, int row_begin, int col_begin) {
    const int rows = p.num_rows - row_begin < kRows ? p.num_rows - row_begin : kRows;
    const int cols = p.out_dim - col_begin < kCols ? p.out_dim - col_begin : kCols;
    const RowsView<E> x{static_cast<const E*>(p.x) + row_begin * p.x_stride, p.x_stride, rows};
    const WeightView<E> weight{static_cast<const E*>(p.weight), p.in_dim, p.out_dim};
    Accum<kRows, kCols> acc(program);
    fill(acc, rows, cols, 0.0f);
    LinearStage<E, kRows, kCols, kDepth> stage(program);
    pipeline(
        program, ceil_div(p.in_dim, kDepth), stage,
        [&](auto& to, int step) { load_block(to, x, weight, col_begin, step * kDepth); },
        [&](const auto& block, int) { dot_add(acc, block); });
    if (p.bias != nullptr) {
      const E* bias = static_cast<const E*>(p.bias) + col_begin;
      each_span(acc, cols, [&](auto i, auto value) { return value + load(bias, i); });
    }
    Out* y = static_cast<Out*>(p.y) + row_begin * p.y_stride + col_begin;
    store_rows(acc, rows, cols, [&](int r) { return y + r * p.y_stride; });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
