// The native page layouts and the packing of weights: plain arithmetic that kernels and host share.
//
// kPanels (cpu). The unit is a panel: 16 columns of a matrix that is multiplied from the right, stored as
//   [k / pair][16][pair]     k = the dimension that a dot product sums over
// where `pair` is 2 for bf16 (a pair-dot instruction reads two neighbours of k; plain FMA takes them by a shift and a
// mask) and 1 for f16 and f32. For K the columns are tokens and k is head_dim; for V the columns are head_dim and k is the token.
//   page_size % 16 == 0   K: [page_size / 16][ceil(head_dim_qk / pair)][16][pair], V: [ceil(head_dim_vo / 16)][page_size / pair][16][pair]
//   any other page size   plain rows: K [page_size][head_dim_qk], V [page_size][head_dim_vo]
// A weight [N, K] is packed as [ceil(N / 16)][ceil(K / pair)][16][pair]. Missing columns and k are zero in K and in weights.
//
// kSwizzled (cuda). The unit is a chunk of 16 bytes; 8 chunks make a row of a panel, 128 bytes. K and V alike are
//   [ceil(head_dim / panel columns)][page_size][8 chunks]     chunk c of token t at place c ^ (t % 8)
// which is what a matrix unit with 128-byte swizzle reads from fast memory, for any page size. What a row holds beyond
// head_dim is zero. A weight [N, K] is plain rows of K, padded with zeros to whole chunks.
#pragma once

namespace quire {

enum class LayoutKind : int { kPanels, kSwizzled };

struct NativeLayout {
  LayoutKind kind;
  int unit;  // elements: of a pair (kPanels), of a chunk (kSwizzled)
};

struct PageShape {
  int page_size;    // tokens
  int head_dim_qk;  // elements
  int head_dim_vo;  // elements
  NativeLayout layout;
};

constexpr int kPanelCols = 16;  // of kPanels
constexpr int kRowChunks = 8;   // of kSwizzled

constexpr bool has_panels(int page_size) { return page_size % kPanelCols == 0; }
constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }
constexpr bool is_swizzled(NativeLayout layout) { return layout.kind == LayoutKind::kSwizzled; }

// Elements that a token's key and value take when they are written: the head size and the zeros behind it.
constexpr int stored_k_dim(const PageShape& s) {
  if (is_swizzled(s.layout)) return round_up(s.head_dim_qk, kRowChunks * s.layout.unit);
  return has_panels(s.page_size) ? round_up(s.head_dim_qk, s.layout.unit) : s.head_dim_qk;
}
constexpr int stored_v_dim(const PageShape& s) {
  return is_swizzled(s.layout) ? round_up(s.head_dim_vo, kRowChunks * s.layout.unit) : s.head_dim_vo;
}

// Elements of one page of one KV head, K part and V part. V follows K.
constexpr long k_page_elems(const PageShape& s) {
  return long{s.page_size} * stored_k_dim(s);
}
constexpr long v_page_elems(const PageShape& s) {
  if (is_swizzled(s.layout)) return long{s.page_size} * stored_v_dim(s);
  if (!has_panels(s.page_size)) return long{s.page_size} * s.head_dim_vo;
  return long{s.page_size} * round_up(s.head_dim_vo, kPanelCols);
}

// Offset of element (k, col) inside a matrix of panels with `k_len` rows a panel.
constexpr long panel_offset(int k_len, int k, int col, int pair) {
  const long panel = long{col / kPanelCols} * round_up(k_len, pair) * kPanelCols;
  return panel + (long{k / pair} * kPanelCols + col % kPanelCols) * pair + k % pair;
}

// Offset of element (row, col) inside a matrix of `num_rows` rows of swizzled chunks.
constexpr long swizzled_offset(int num_rows, int row, int col, int unit) {
  const int chunk = col / unit;
  const long panel_row = long{chunk / kRowChunks} * num_rows + row;
  return (panel_row * kRowChunks + ((chunk % kRowChunks) ^ (row % kRowChunks))) * unit + col % unit;
}

// The index maps: element offset of K[token, dim] and V[token, dim] from the start of the K and of the V part of a page.
constexpr long k_offset(const PageShape& s, int token, int dim) {
  if (is_swizzled(s.layout)) return swizzled_offset(s.page_size, token, dim, s.layout.unit);
  if (!has_panels(s.page_size)) return long{token} * s.head_dim_qk + dim;
  return panel_offset(s.head_dim_qk, dim, token, s.layout.unit);
}
constexpr long v_offset(const PageShape& s, int token, int dim) {
  if (is_swizzled(s.layout)) return swizzled_offset(s.page_size, token, dim, s.layout.unit);
  if (!has_panels(s.page_size)) return long{token} * s.head_dim_vo + dim;
  return panel_offset(s.page_size, token, dim, s.layout.unit);
}

// Packed weights [N, K]: elements in all, and where element (n, k) is.
constexpr long weight_elems(NativeLayout layout, int out_dim, int in_dim) {
  return long{round_up(in_dim, layout.unit)} * (is_swizzled(layout) ? out_dim : round_up(out_dim, kPanelCols));
}
constexpr long weight_offset(NativeLayout layout, int in_dim, int n, int k) {
  if (is_swizzled(layout)) return long{n} * round_up(in_dim, layout.unit) + k;
  return panel_offset(in_dim, k, n, layout.unit);
}

// Elements [begin, end) of something.
struct Range {
  int begin, end;
  constexpr int size() const { return end - begin; }
};

// A range from 0 on in pieces: the first `num_larger` have size + 1 elements, the others size, the last what is left.
struct Cut {
  int num_elems, num, size, num_larger;
  constexpr int begin(int i) const { return i * size + (i < num_larger ? i : num_larger); }
  constexpr Range at(int i) const { return {begin(i), begin(i + 1) < num_elems ? begin(i + 1) : num_elems}; }
};
constexpr Cut cut_by(int num_elems, int size) { return {num_elems, ceil_div(num_elems, size), size, 0}; }
constexpr Cut cut_into(int num_elems, int num) { return {num_elems, num, num_elems / num, num_elems % num}; }

// What a pipeline loads for a work item: left() what all tiles meet, tile(stage, i) one tile.
template <class Left, class Tile>
struct Loads {
  Left left;
  Tile tile;
};
template <class Left, class Tile>
Loads(Left, Tile) -> Loads<Left, Tile>;

// Element types of cached keys and values.
template <class K, class V>
struct KvTypes {
  using Key = K;
  using Value = V;
};

// Where the keys and values of one request and KV head are.
template <class Kv>
struct KvView {
  const typename Kv::Key* pool;  // [num_pages, page_stride]: the K and V parts of all KV heads of a page
  const int* page_table;  // pages of the request; only those of tokens that are asked for are looked at
  long page_stride;       // elements from page to page
  long k_base, v_base;    // of this KV head inside a page, elements
  PageShape shape;
  int end_key;            // no key from here on is asked for; targets may look at page numbers below it ahead of time
};

// Where the keys and values of one token go: the K and the V part of the first KV head in its page.
template <class Kv>
struct TokenSlot {
  typename Kv::Key* k;
  typename Kv::Value* v;
  long head_stride;  // elements from head to head
  int token;         // in the page
};

// Rows of the left operand of a matrix product, and the packed weights [out_dim, in_dim] that they meet.
template <class E>
struct RowsView {
  const E* first;  // row 0
  long stride;     // elements from row to row
  int num;
};
template <class E>
struct WeightView {
  const E* first;
  int in_dim, out_dim;
};

}  // namespace quire
