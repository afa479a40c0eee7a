// Right operands: keys and values of a range of pages, and blocks of packed weights. Whole panels are read
// where they are; only panels of which a part is outside the range, and pages without panels, are copied.
#pragma once

#include "targets/cpu/tile/tiles.h"

namespace quire {
namespace QUIRE_TARGET {

using NativePage = PanelPage;
template <class Kv>
constexpr NativePage native_page(int page_size, int head_dim_qk, int head_dim_vo) {
  return {page_size, head_dim_qk, head_dim_vo, DotTraits<typename Kv::Key>::kPair};
}

// Kv: KvTypes, see tile/views.h.
template <class Kv, int max_rows, int max_keys>
struct KvStage;
template <class E, int max_rows, int max_keys>
struct KvStage<KvTypes<E, E>, max_rows, max_keys> {
  static constexpr int kMaxPanels = max_keys / kPanelCols;
  static constexpr int kPair = DotTraits<E>::kPair;
  const E* k_panel[kMaxPanels + 8];  // of each 16 keys; the last one is repeated, to be prefetched
  const E* v_first[kMaxPanels];      // of each 16 keys: panel 0 of the value columns
  long v_stride[kMaxPanels];         // elements from one value panel to the next
  E* k_copy;                         // room for copied panels
  E* v_copy;
  long k_copy_elems, v_copy_elems;  // of one panel
  int num_panels = 0, num_value_panels = 0, k_steps = 0, first_key = 0, num_keys = 0;

  KvStage(const KvStage&) = delete;
  // dim_qk and dim_vo are the largest head sizes.
  KvStage(Program& program, int dim_qk, int dim_vo)
      : k_copy(program.take<E>(long{kMaxPanels} * kPanelCols * (dim_qk + kPair))),
        v_copy(program.take<E>(long{kMaxPanels} * kPanelCols * (dim_vo + kPanelCols))),
        k_copy_elems(long{kPanelCols} * (dim_qk + kPair)),
        v_copy_elems(long{kPanelCols} * (dim_vo + kPanelCols)) {}
};

// Copies keys and values [begin, end) of one panel of 16 keys by the index maps; the rest becomes zero.
template <class E, int max_rows, int max_keys>
inline void copy_panel(KvStage<KvTypes<E, E>, max_rows, max_keys>& stage,
                       const KvView<KvTypes<E, E>, NativePage>& view, int panel, int begin, int end) {
  constexpr int kPair = KvStage<KvTypes<E, E>, max_rows, max_keys>::kPair;
  E* k = stage.k_copy + panel * stage.k_copy_elems;
  E* v = stage.v_copy + panel * stage.v_copy_elems;
  const NativePage& layout = view.page;
  const int first = begin / kPanelCols * kPanelCols;
  __builtin_memset(static_cast<void*>(k), 0, stage.k_copy_elems * sizeof(E));
  __builtin_memset(static_cast<void*>(v), 0, stage.v_copy_elems * sizeof(E));
  for (int key = begin; key < end; ++key) {
    const E* page = view.pool + view.page_table[key / layout.page_size] * view.page_stride;
    const E* k_page = page + view.k_base;
    const E* v_page = page + view.v_base;
    const int token = key % layout.page_size;
    for (int d = 0; d < layout.head_dim_qk; ++d) {
      k[panel_offset(layout.head_dim_qk, d, key - first, kPair)] = k_page[layout.k_offset(token, d)];
    }
    for (int d = 0; d < layout.head_dim_vo; ++d) {
      v[panel_offset(kPanelCols, key - first, d, kPair)] = v_page[layout.v_offset(token, d)];
    }
  }
  stage.k_panel[panel] = k;
  stage.v_first[panel] = v;
  stage.v_stride[panel] = long{kPanelCols} * kPanelCols;
}

// Writes the keys and values of one token's heads to its page by the index maps, with the zero that pads an
// odd head_dim.
template <class E>
inline void store_token(const TokenSlot<KvTypes<E, E>>& to, const NativePage& layout, int num_heads,
                        const E* k, const E* v) {
  for (int head = 0; head < num_heads; ++head) {
    E* k_page = to.k + head * to.head_stride;
    E* v_page = to.v + head * to.head_stride;
    for (int d = 0; d < layout.head_dim_qk; ++d) k_page[layout.k_offset(to.token, d)] = k[d];
    for (int d = layout.head_dim_qk; d < layout.stored_k_dim(); ++d)
      k_page[layout.k_offset(to.token, d)] = E{};
    for (int d = 0; d < layout.head_dim_vo; ++d) v_page[layout.v_offset(to.token, d)] = v[d];
    k += layout.head_dim_qk;
    v += layout.head_dim_vo;
  }
}

// Keys and values [begin, end). The tile starts at the panel that contains key `begin`. Keys of the first and
// last panel that are outside the range have undefined scores and values of zero.
template <class E, int max_rows, int max_keys>
inline void load_pages(KvStage<KvTypes<E, E>, max_rows, max_keys>& stage,
                       const KvView<KvTypes<E, E>, NativePage>& view, int begin, int end) {
  constexpr int kPair = KvStage<KvTypes<E, E>, max_rows, max_keys>::kPair;
  const NativePage& layout = view.page;
  const bool panels = layout.has_panels();
  stage.first_key = begin / kPanelCols * kPanelCols;
  stage.num_keys = ceil_div(end - stage.first_key, kPanelCols) * kPanelCols;
  stage.num_panels = stage.num_keys / kPanelCols;
  stage.num_value_panels = ceil_div(layout.head_dim_vo, kPanelCols);
  stage.k_steps = ceil_div(layout.head_dim_qk, kPair);
  for (int p = 0; p < stage.num_panels; ++p) {
    const int first = stage.first_key + p * kPanelCols;
    if (!panels || first < begin || first + kPanelCols > end) {
      copy_panel(stage, view, p, first < begin ? begin : first,
                 first + kPanelCols > end ? end : first + kPanelCols);
      continue;
    }
    const int token = first % layout.page_size;
    const E* page = view.pool + view.page_table[first / layout.page_size] * view.page_stride;
    stage.k_panel[p] = page + view.k_base + layout.k_offset(token, 0);
    stage.v_first[p] = page + view.v_base + layout.v_offset(token, 0);
    stage.v_stride[p] = long{layout.page_size} * kPanelCols;
  }
  for (int p = 0; p < 8; ++p) stage.k_panel[stage.num_panels + p] = stage.k_panel[stage.num_panels - 1];
}

// Pages can be anywhere in memory, so that the hardware's prefetcher has to start anew every 16 keys. While a
// panel of keys is multiplied, the keys two panels ahead and the values of this panel are prefetched, line by
// line.
template <class E>
struct KeySegments {
  static constexpr int num = 1;
  static constexpr int kAhead = 2;
  const E* const* panels;
  const E* const* ahead;  // keys of later panels
  const E* const* v_first;
  const long* v_stride;
  int k_steps;
  const E* panel(int, int p) const { return panels[p]; }
  long steps(int) const { return k_steps; }
  QUIRE_DEV void prefetch(int p, long k) const {
    constexpr long kStepElems = kPanelCols * DotTraits<E>::kPair,
                   kValueSteps = kPanelCols / DotTraits<E>::kPair;
    __builtin_prefetch(ahead[p] + k * kStepElems);
    __builtin_prefetch(v_first[p] + k / kValueSteps * v_stride[p] + k % kValueSteps * kStepElems);
  }
};

// scores = q K^T; column i is key stage.first_key + i.
template <class E, int max_rows, int max_k, int max_keys>
inline void dot(Scores<max_rows, max_keys>& scores, const Operand<E, max_rows, max_k>& q,
                const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage) {
  scores.rows = q.rows;
  scores.cols = stage.num_keys;
  multiply<E>({scores.data, scores.kStride, q.data, q.kStride, true}, q.rows, stage.num_panels, [&](int p) {
    return KeySegments<E>{stage.k_panel + p, stage.k_panel + p + KeySegments<E>::kAhead, stage.v_first + p,
                          stage.v_stride + p, stage.k_steps};
  });
}

template <class E>
struct ValueSegments {
  const E* const* first;
  const long* stride;
  int num, from;
  const E* panel(int s, int p) const { return first[s] + (from + p) * stride[s]; }
  long steps(int) const { return kPanelCols / DotTraits<E>::kPair; }
  QUIRE_DEV void prefetch(int, long) const {}
};

// out += probs V. The probabilities are rounded to the dot's left operand first and are garbage afterwards.
template <class E, int max_rows, int max_keys, int max_out>
inline void dot_add(Accum<max_rows, max_out>& out, Scores<max_rows, max_keys>& probs,
                    const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage) {
  auto block = convert<typename DotTraits<E>::Left>(probs);
  block.c = out.data;
  block.ldc = out.kStride;
  multiply<E>(block, probs.rows, stage.num_value_panels, [&](int p) {
    return ValueSegments<E>{stage.v_first, stage.v_stride, stage.num_panels, p};
  });
}

// A step of a linear layer: a copy of rows of x, and pointers to panels of the packed weight.
template <class X, class W, int max_rows, int max_cols, int max_k>
struct LinearStage;
template <class E, int max_rows, int max_cols, int max_k>
struct LinearStage<E, WeightView<E>, max_rows, max_cols, max_k> {
  Operand<E, max_rows, max_k> x;
  const E* weight = nullptr;  // panel 0, at the step's k
  long panel_stride = 0;      // elements
  int num_panels = 0, k_steps = 0;

  explicit LinearStage(Program& program) : x(program) {}
};

// Loads all rows of x and columns `cols`, which begin at a multiple of 16, with up to max_k elements of k
// from k_begin on, which is even.
template <class E, int max_rows, int max_cols, int max_k>
inline void load_block(LinearStage<E, WeightView<E>, max_rows, max_cols, max_k>& stage, const RowsView<E>& x,
                       const WeightView<E>& w, Range cols, int k_begin) {
  constexpr int kPair = DotTraits<E>::kPair;
  const int k_len = w.in_dim - k_begin < max_k ? w.in_dim - k_begin : max_k;
  load_rows(stage.x, x.num, k_len, [&](int r) { return x.first + r * x.stride + k_begin; });
  stage.panel_stride = long{round_up(w.in_dim, kPair)} * kPanelCols;
  stage.weight = w.first + cols.begin / kPanelCols * stage.panel_stride + long{k_begin} * kPanelCols;
  stage.num_panels = ceil_div(cols.size(), kPanelCols);
  stage.k_steps = ceil_div(k_len, kPair);
}

template <class E>
struct WeightSegments {
  static constexpr int num = 1;
  const E* first;
  long stride;
  int k_steps;
  const E* panel(int, int p) const { return first + p * stride; }
  long steps(int) const { return k_steps; }
  QUIRE_DEV void prefetch(int p, long k) const {
    __builtin_prefetch(first + p * stride + (k + 16) * kPanelCols * DotTraits<E>::kPair);
  }
};

// out += x W^T
template <class E, int max_rows, int max_cols, int max_k>
inline void dot_add(Accum<max_rows, max_cols>& out,
                    const LinearStage<E, WeightView<E>, max_rows, max_cols, max_k>& s) {
  multiply<E>({out.data, out.kStride, s.x.data, s.x.kStride, false}, s.x.rows, s.num_panels, [&](int p) {
    return WeightSegments<E>{s.weight + p * s.panel_stride, s.panel_stride, s.k_steps};
  });
}

}  // namespace QUIRE_TARGET
}  // namespace quire
