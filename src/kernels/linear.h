// y = epilogue(prologue(x) W^T) with packed weights: one text for every format of weights, for what is done
// to x as it is read, and for what is done to finished sums. A target compiles it for few rows, where reading
// W is the limit, and for many rows, where arithmetic is.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {
namespace QUIRE_TARGET {

// A prologue says where the rows of x are and how they are changed before the product. This one changes
// nothing.
template <class E>
struct PlainInput {
  using Elem = E;
  static QUIRE_DEV RowsView<E> rows(const LinearParams& p, Range rows) {
    return {static_cast<const E*>(p.x) + rows.begin * p.x_stride, p.x_stride, rows.size()};
  }
};

// A weight format says how W is stored. This one stores the elements that are multiplied.
template <class E>
struct PlainWeight {
  using View = WeightView<E>;
  static QUIRE_DEV View view(const LinearParams& p) {
    return {static_cast<const E*>(p.weight), p.in_dim, p.out_dim};
  }
};

// An epilogue stores the finished sums of an item. This one adds a bias with elements E, if there is one, and
// rounds to Out.
template <class E, class Out>
struct BiasOutput {
  template <class Sums>
  static QUIRE_DEV void finish(Sums& sums, const LinearParams& p, Range rows, Range cols) {
    if (p.bias != nullptr) {
      const E* bias = static_cast<const E*>(p.bias) + cols.begin;
      each_span(sums, cols.size(), [&](auto i, auto value) { return value + load(bias, i); });
    }
    Out* y = static_cast<Out*>(p.y) + rows.begin * p.y_stride + cols.begin;
    store_rows(sums, rows.size(), cols.size(), [&](int r) { return y + r * p.y_stride; });
  }
};

// Config has kRows and kCols, the shape of a tile of y, and kDepth, the elements of k in one step.
template <class Prologue, class Weight, class Epilogue, class Config>
struct Linear {
  static constexpr int kRows = Config::kRows, kCols = Config::kCols, kDepth = Config::kDepth;

  static QUIRE_DEV void run(Program& program, const LinearParams& p) {
    const Pieces row_tiles = pieces_of_size(p.num_rows, kRows),
                 col_tiles = column_pieces<kRows>(p.out_dim, kCols);
    const bool is_one = row_tiles.num == 1;  // saves divisions
    const auto rows_of = [&](int item) { return row_tiles.at(is_one ? 0 : item % row_tiles.num); };
    const auto cols_of = [&](int item) { return col_tiles.at(is_one ? item : item / row_tiles.num); };
    const auto weight = Weight::view(p);
    Accum<kRows, kCols> acc(program);
    LinearStage<typename Prologue::Elem, typename Weight::View, kRows, kCols, kDepth> stage(program);
    pipeline_work(
        program, row_tiles.num * col_tiles.num, ceil_div(p.in_dim, kDepth), stage,
        [&](auto& to, int item, int step) {
          load_block(to, Prologue::rows(p, rows_of(item)), weight, cols_of(item), step * kDepth);
        },
        [&](const auto& block, int item, int step) {
          if (step == 0) fill(acc, rows_of(item).size(), cols_of(item).size(), 0.0f);
          dot_add(acc, block);
        },
        [&](int item) { Epilogue::finish(acc, p, rows_of(item), cols_of(item)); });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
