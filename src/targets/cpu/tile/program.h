// The loops of the CPU target: work distribution, the pipeline, and elementwise work on rows.
#pragma once

#include "targets/cpu/tile/stages.h"

namespace quire {
namespace QUIRE_TARGET {

// Items 0 … n - 1 of a launch, each done once by whichever program comes first.
template <class F>
inline void for_each_work(Program& program, int n, const F& f) {
  for (;;) {
    const int item = __atomic_fetch_add(program.next_item, 1, __ATOMIC_RELAXED);
    if (item >= n) return;
    program.scratch_used = 0;
    f(item);
  }
}

template <class T, class F>
inline void for_each_work(Program& program, const int* n, const T* items, const F& f) {
  for_each_work(program, *n, [&](int item) { f(items[item]); });
}

// True for the last of n programs that arrive; it then sees what the others wrote before they arrived. The
// counter is 0 again.
QUIRE_DEV bool last_arrival(Program&, int* counter, int n) {
  if (__atomic_add_fetch(counter, 1, __ATOMIC_ACQ_REL) < n) return false;
  __atomic_store_n(counter, 0, __ATOMIC_RELAXED);
  return true;
}

// A program on the CPU has one part.
template <int max_rows>
QUIRE_DEV void join_max(Row<max_rows>&) {}
template <int max_rows>
QUIRE_DEV void join_sum(Row<max_rows>&) {}

// On a CPU a pipeline has one stage; out-of-order execution and prefetches overlap loads with arithmetic.
template <class Stage, class Scores, class Loads, class Score, class Update, class Accumulate>
inline void pipeline(Program&, int num_tiles, Stage& stage, Scores& scores, const Loads& loads,
                     const Score& score, const Update& update, const Accumulate& accumulate) {
  loads.operand();
  for (int tile = 0; tile < num_tiles; ++tile) {
    loads.tile(stage, tile);
    score(scores, stage, tile);
    update(scores, stage, tile);
    accumulate(scores, stage, tile);
  }
}

// The items of a launch, num_steps steps each; a step is multiplied as soon as it is loaded.
template <class Stage, class Load, class Accumulate, class Finish>
inline void pipeline_work(Program& program, int num_items, int num_steps, Stage& stage, const Load& load,
                          const Accumulate& accumulate, const Finish& finish) {
  for_each_work(program, num_items, [&](int item) {
    for (int step = 0; step < num_steps; ++step) {
      load(stage, item, step);
      accumulate(stage, item, step);
    }
    finish(item);
  });
}

// Pieces of at most `most` columns, a multiple of 16.
template <int max_rows>
QUIRE_DEV Pieces column_pieces(int n, int most) {
  return pieces_of_size(n, most);
}

// Elements [first, first + num) of a row.
struct Span {
  int first, num;
};

template <class E>
QUIRE_DEV VecF load(const E* p, Span i) {
  if (i.num == kLanes) return load_lanes(p + i.first);
  E lanes[kLanes] = {};
  for (int j = 0; j < i.num; ++j) lanes[j] = p[i.first + j];
  return load_lanes(lanes);
}
template <class E>
QUIRE_DEV void store(E* p, Span i, VecF x) {
  if (i.num == kLanes) return store_lanes(p + i.first, x);
  E lanes[kLanes];
  store_lanes(lanes, x);
  for (int j = 0; j < i.num; ++j) p[i.first + j] = lanes[j];
}
QUIRE_DEV float load_fresh(const float* p) { return *p; }
QUIRE_DEV VecF load_fresh(const float* p, Span i) { return load(p, i); }
QUIRE_DEV bool is_first(Span i) { return i.first == 0; }
QUIRE_DEV VecI index(Span i) { return iota(i.first); }
QUIRE_DEV VecF zeros(Span) { return VecF{}; }

template <class F>
QUIRE_DEV void map(int n, const F& f) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) f(Span{i, kLanes});
  if (i < n) f(Span{i, n - i});
}

// f(row, i) for n elements of each row.
template <class F>
QUIRE_DEV void map(int num_rows, int n, const F& f) {
  for (int row = 0; row < num_rows; ++row) {
    map(n, [&](Span i) { f(row, i); });
  }
}
template <int at_once, class Load, class Use>
QUIRE_DEV void for_each_ordered(int n, const Load& load, const Use& use) {
  for (int i = 0; i < n; ++i) use(load(i));
}
// Pieces of a row that are worth a program: on a CPU the whole row.
QUIRE_DEV Pieces row_pieces(int n) { return pieces_of_size(n, n); }
// Does nothing: the hardware's prefetcher is enough for rows.
template <class E>
QUIRE_DEV void prefetch_row(const E*, int) {}

// x := f(i, x) on every row, with i a span of columns: for operands that lie along the columns, such as a
// bias.
template <int max_rows, int max_cols, class F>
QUIRE_DEV void each_span(Accum<max_rows, max_cols>& tile, int cols, const F& f) {
  for (int r = 0; r < tile.rows; ++r) {
    map(cols, [&](Span i) { store(tile.row(r), i, f(i, load(tile.row(r), i))); });
  }
}

// Missing elements of the last vector count as 0. Two levels of sums: one chain over a whole vocabulary would
// lose digits.
template <class F>
QUIRE_DEV float reduce_sum(int n, const F& f) {
  constexpr int kChain = 64 * kLanes;
  VecF sum{};
  for (int first = 0; first < n; first += kChain) {
    VecF part{};
    map(n - first < kChain ? n - first : kChain, [&](Span i) {
      i.first += first;
      const VecF x = f(i);
      part += i.num == kLanes ? x : select(iota(0) < i.num, x, 0.0f);
    });
    sum += part;
  }
  return lane_sum(sum);
}
template <class F>
QUIRE_DEV float reduce_max(int n, const F& f) {
  VecF most = splat(kNegInf);
  map(n, [&](Span i) {
    const VecF x = f(i);
    most = vec_max(i.num == kLanes ? x : select(iota(0) < i.num, x, kNegInf), most);
  });
  return lane_max(most);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
