// The CPU's layouts of pages and packed weights: plain arithmetic that kernels, host and tests share.
//
// The unit is a panel: 16 columns of a matrix that is multiplied from the right, stored as
//   [k / pair][16][pair]     k = the dimension that a dot product sums over
// where `pair` is 2 for bf16 (a pair-dot instruction reads two neighbours of k; plain FMA takes them by a
// shift and a mask) and 1 for f16 and f32. For K the columns are tokens and k is head_dim; for V the columns
// are head_dim and k is the token.
//   page_size % 16 == 0   K: [page_size / 16][ceil(head_dim_qk / pair)][16][pair]
//                         V: [ceil(head_dim_vo / 16)][page_size / pair][16][pair]
//   any other page size   plain rows: K [page_size][head_dim_qk], V [page_size][head_dim_vo]
// A weight [N, K] is packed as [ceil(N / 16)][ceil(K / pair)][16][pair]. Missing columns and k are zero in K
// and in weights.
#pragma once

#include "tile/ranges.h"

namespace quire {

constexpr int kPanelCols = 16;

// Offset of element (k, col) inside a matrix of panels with `k_len` rows a panel.
constexpr long panel_offset(int k_len, int k, int col, int pair) {
  const long panel = long{col / kPanelCols} * round_up(k_len, pair) * kPanelCols;
  return panel + (long{k / pair} * kPanelCols + col % kPanelCols) * pair + k % pair;
}

// One page of one KV head.
struct PanelPage {
  int page_size;                 // tokens
  int head_dim_qk, head_dim_vo;  // elements
  int pair;                      // elements

  constexpr bool has_panels() const { return page_size % kPanelCols == 0; }

  // Elements of a token's key and value that are written: the head size, and a zero behind an odd one.
  constexpr int stored_k_dim() const { return has_panels() ? round_up(head_dim_qk, pair) : head_dim_qk; }
  constexpr int stored_v_dim() const { return head_dim_vo; }

  // Elements of the K part and of the V part.
  constexpr long k_elems() const { return long{page_size} * stored_k_dim(); }
  constexpr long v_elems() const {
    return long{page_size} * (has_panels() ? round_up(head_dim_vo, kPanelCols) : head_dim_vo);
  }

  // The index maps: element offset from the start of the part.
  constexpr long k_offset(int token, int dim) const {
    return has_panels() ? panel_offset(head_dim_qk, dim, token, pair) : long{token} * head_dim_qk + dim;
  }
  constexpr long v_offset(int token, int dim) const {
    return has_panels() ? panel_offset(page_size, token, dim, pair) : long{token} * head_dim_vo + dim;
  }
};

// A packed weight [out_dim, in_dim].
struct PanelWeight {
  int out_dim, in_dim, pair;

  constexpr long elems() const { return long{round_up(in_dim, pair)} * round_up(out_dim, kPanelCols); }
  constexpr long offset(int n, int k) const { return panel_offset(in_dim, k, n, pair); }
};

}  // namespace quire
