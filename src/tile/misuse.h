// What the tile language forbids. Calls whose shapes or element types do not fit together find the functions
// below instead of the real ones, which are more specialised, and do not compile: the compiler prints the
// reason. tests/conformance/must_not_compile_test.py has an example of each. Included by defaults.h.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

template <class T>
constexpr bool kIsMisuse = true;

// Whether T is a row of max_rows.
template <int max_rows>
struct Row;
template <class T, int max_rows>
constexpr bool kIsRow = false;
template <int max_rows>
constexpr bool kIsRow<Row<max_rows>, max_rows> = true;

template <class S, class Q, class Stage>
QUIRE_DEV void dot(S&, const Q&, const Stage&) {
  static_assert(
      !kIsMisuse<S>,
      "dot(scores, q, stage) takes Scores<M, N>, Operand<E, M, K> and KvStage<KvTypes<E, E>, M, N>");
}
template <class Out, class P, class Stage>
QUIRE_DEV void dot_add(Out&, P&, const Stage&) {
  static_assert(
      !kIsMisuse<Out>,
      "dot_add(out, probs, stage) takes Accum<M, D>, Scores<M, N> and KvStage<KvTypes<E, E>, M, N>");
}
template <class Out, class Stage>
QUIRE_DEV void dot_add(Out&, const Stage&) {
  static_assert(!kIsMisuse<Out>,
                "dot_add(out, stage) takes Accum<M, N> and LinearStage<E, WeightView<E>, M, N, K>");
}
template <class Stage, class View>
QUIRE_DEV void load_pages(Stage&, const View&, int, int) {
  static_assert(!kIsMisuse<Stage>,
                "load_pages(stage, view, begin, end) takes a KvStage and a KvView of the same "
                "element type, with the target's NativePage");
}
template <class Stage, class X, class W, class Cols>
QUIRE_DEV void load_block(Stage&, const X&, const W&, Cols, int) {
  static_assert(!kIsMisuse<Stage>,
                "load_block(stage, x, weight, cols, k) takes a LinearStage, a RowsView and a "
                "WeightView of the same element type, and a Range");
}
template <class Tile, class R>
QUIRE_DEV void row_scale(Tile&, const R&) {
  static_assert(!kIsMisuse<Tile>, "row_scale(out, row) takes Accum<M, D> and Row<M>");
}
template <class R, class Tile>
QUIRE_DEV void row_max(R&, const Tile&) {
  static_assert(!kIsMisuse<Tile>, "row_max(row, scores) takes Row<M> and Scores<M, N>");
}
template <class Tile, class M, class D>
QUIRE_DEV void exp2_rows(Tile&, float, const M&, D&) {
  static_assert(!kIsMisuse<Tile>, "exp2_rows(scores, scale, m, d) takes Scores<M, N> and two Row<M>");
}

}  // namespace QUIRE_TARGET
}  // namespace quire
