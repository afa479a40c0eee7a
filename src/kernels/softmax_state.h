// The online softmax. The state of a row is (o, m, d): unnormalised output, running maximum, denominator. The
// empty state is (0, -inf, 0), and the merge of two states is associative. During a pass over keys m is in
// units of the scores; a state that leaves a program has m in log2 units, so that exp2(m) d is the sum of the
// exponentials. m may be less than the maximum: it only keeps numbers in range.
#pragma once

#include "tile/tile.h"

namespace quire {
namespace QUIRE_TARGET {

template <int max_rows, int max_cols>
struct SoftmaxState {
  Accum<max_rows, max_cols> o;
  Row<max_rows> m, d;

  QUIRE_DEV explicit SoftmaxState(Program& program) : o(program) {}
};

template <int max_rows, int max_cols>
QUIRE_DEV void reset(SoftmaxState<max_rows, max_cols>& s, int rows, int cols) {
  fill(s.o, rows, cols, 0.0f);
  row_map(s.m, rows, [](auto r) { return to_f32(r) * 0.0f + kNegInf; });
  row_map(s.d, rows, [](auto r) { return to_f32(r) * 0.0f; });
}

// exp2(from - to) for from <= to, and 0 where `from` is -inf (then `to` may be -inf too).
struct WeightOf {
  float scale;
  template <class X>
  QUIRE_DEV X operator()(X from, X to) const {
    return select(from == kNegInf, X{}, exp2((from - to) * scale));
  }
};

// Adds the scores of one tile to the state, except for the output: scores become probabilities relative to
// the new m, and the old output is rescaled. The caller then adds probs V to s.o.
template <int max_rows, int max_cols, class ScoresTile>
QUIRE_DEV void update(SoftmaxState<max_rows, max_cols>& s, ScoresTile& scores, float scale_log2) {
  Row<max_rows> m_new = s.m, alpha;
  row_max(m_new, scores);
  // m changes, and the output is rescaled, only if an exponential would exceed 2^kSlack. That is rare after a
  // row's first tile.
  constexpr float kSlack = 8;
  row_map(
      m_new, scores.rows,
      [&](auto, auto most, auto m) { return select((most - m) * scale_log2 > kSlack, most, m); }, m_new, s.m);
  const WeightOf weight{scale_log2};
  row_map(
      alpha, scores.rows, [&](auto, auto m, auto to) { return weight(m, to); }, s.m, m_new);
  row_map(
      s.d, scores.rows, [](auto, auto d, auto a) { return d * a; }, s.d, alpha);
  exp2_rows(scores, scale_log2, m_new, s.d);
  row_scale(s.o, alpha);
  s.m = m_new;
}

// The state of one row with some elements of its output; m is in log2 units.
template <class Elements>
struct RowState {
  float m, d;
  Elements o;
};
// A state of weight 0 is not used: its elements may be undefined.
template <class Elements>
QUIRE_DEV void merge(RowState<Elements>& s, const RowState<Elements>& other) {
  const float m = s.m > other.m ? s.m : other.m, a = WeightOf{1.0f}(s.m, m), b = WeightOf{1.0f}(other.m, m);
  s.d = b == 0.0f ? s.d * a : s.d * a + other.d * b;
  s.o = b == 0.0f ? s.o * a : s.o * a + other.o * b;
  s.m = m;
}

// Merges the states of the parts of a program (see tile.h): all parts receive the same m and d, and each
// scales its own part of the output.
template <int max_rows, int max_cols>
QUIRE_DEV void join(SoftmaxState<max_rows, max_cols>& s) {
  Row<max_rows> m_new = s.m, weight;
  join_max(m_new);
  row_map(
      weight, s.o.rows, [](auto, auto m, auto to) { return WeightOf{1.0f}(m, to); }, s.m, m_new);
  row_map(
      s.d, s.o.rows, [](auto, auto d, auto w) { return d * w; }, s.d, weight);
  join_sum(s.d);
  row_scale(s.o, weight);
  s.m = m_new;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
