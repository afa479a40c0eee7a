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
    const E* x = static_cast<const E*>(p.x) + row_begin * p.x_stride;
    Accum<kRows, kCols> acc(program);
    fill(acc, rows, cols, 0.0f);
    Operand<E, kRows, kDepth> left(program);
    WeightStage<E> stage;
    pipeline(
        program, ceil_div(p.in_dim, kDepth), stage, left,
        [&](auto& to, int step) {
          const int depth = p.in_dim - step * kDepth;
          to = load_weight(static_cast<const E*>(p.weight), p.in_dim, col_begin / kPanelCols, ceil_div(cols, kPanelCols),
                           step * kDepth, depth < kDepth ? depth : kDepth);
        },
        [&](auto& to, const auto&, int step) {
          const int depth = p.in_dim - step * kDepth;
          load_rows(to, rows, depth < kDepth ? depth : kDepth, [&](int r) { return x + r * p.x_stride + step * kDepth; });
        },
        [&](auto& block, const auto& weight, int) { dot_add(acc, block, weight); });
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
