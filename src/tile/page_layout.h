// The two index maps of the native page layout and the packing of weights: plain arithmetic that kernels and host share.
//
// CPU layout. The unit is a panel: 16 columns of a matrix that is multiplied from the right, stored as
//   [k / pair][16][pair]     k = the dimension that a dot product sums over
// where `pair` is 2 for bf16 (a pair-dot instruction reads two neighbours of k; plain FMA takes them by a shift and a
// mask) and 1 for f16 and f32. For K the columns are tokens and k is head_dim; for V the columns are head_dim and k is the token.
//   page_size % 16 == 0   K: [page_size / 16][ceil(head_dim_qk / pair)][16][pair], V: [ceil(head_dim_vo / 16)][page_size / pair][16][pair]
//   any other page size   plain rows: K [page_size][head_dim_qk], V [page_size][head_dim_vo]
// A weight [N, K] is packed as [ceil(N / 16)][ceil(K / pair)][16][pair]. Missing columns and k are zero in K and in weights.
// Other targets have maps of their own with the same signatures.
#pragma once

namespace quire {

struct PageShape {
  int page_size;    // tokens
  int head_dim_qk;  // elements
  int head_dim_vo;  // elements
  int pair;         // 1 or 2
};

constexpr int kPanelCols = 16;

constexpr bool has_panels(int page_size) { return page_size % kPanelCols == 0; }
constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Elements of one page of one KV head, K part and V part. V follows K.
constexpr long k_page_elems(const PageShape& s) {
  if (!has_panels(s.page_size)) return long{s.page_size} * s.head_dim_qk;
  return long{s.page_size} * ceil_div(s.head_dim_qk, s.pair) * s.pair;
}
constexpr long v_page_elems(const PageShape& s) {
  if (!has_panels(s.page_size)) return long{s.page_size} * s.head_dim_vo;
  return long{s.page_size} * ceil_div(s.head_dim_vo, kPanelCols) * kPanelCols;
}

// Offset of element (k, col) inside a matrix of panels with `k_len` rows a panel.
constexpr long panel_offset(int k_len, int k, int col, int pair) {
  const long panel = long{col / kPanelCols} * ceil_div(k_len, pair) * pair * kPanelCols;
  return panel + (long{k / pair} * kPanelCols + col % kPanelCols) * pair + k % pair;
}

// The index maps: element offset of K[token, dim] and V[token, dim] from the start of the K and of the V part of a page.
constexpr long k_offset(const PageShape& s, int token, int dim) {
  if (!has_panels(s.page_size)) return long{token} * s.head_dim_qk + dim;
  return panel_offset(s.head_dim_qk, dim, token, s.pair);
}
constexpr long v_offset(const PageShape& s, int token, int dim) {
  if (!has_panels(s.page_size)) return long{token} * s.head_dim_vo + dim;
  return panel_offset(s.page_size, token, dim, s.pair);
}

}  // namespace quire
