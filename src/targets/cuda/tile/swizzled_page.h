// The cuda target's layouts of pages and packed weights: plain arithmetic that kernels, host and tests share.
//
// The unit is a chunk of 16 bytes; 8 chunks make a row of a panel, 128 bytes. K and V alike are
//   [ceil(head_dim / panel columns)][page_size][8 chunks]     chunk c of token t at place c ^ (t % 8)
// which is what a matrix unit with 128-byte swizzle reads from fast memory, for any page size. What a row holds beyond
// head_dim is zero. A weight [N, K] is plain rows of K, padded with zeros to whole chunks.
#pragma once

#include "tile/ranges.h"

namespace quire {

constexpr int kRowChunks = 8;

// Offset of element (row, col) inside a matrix of `num_rows` rows of swizzled chunks of `unit` elements.
constexpr long swizzled_offset(int num_rows, int row, int col, int unit) {
  const int chunk = col / unit;
  const long panel_row = long{chunk / kRowChunks} * num_rows + row;
  return (panel_row * kRowChunks + ((chunk % kRowChunks) ^ (row % kRowChunks))) * unit + col % unit;
}

// One page of one KV head.
struct SwizzledPage {
  int page_size;                 // tokens
  int head_dim_qk, head_dim_vo;  // elements
  int unit;                      // elements of a chunk

  // Elements of a token's key and value that are written: the head size, and zeros behind it.
  constexpr int stored_k_dim() const { return round_up(head_dim_qk, kRowChunks * unit); }
  constexpr int stored_v_dim() const { return round_up(head_dim_vo, kRowChunks * unit); }

  // Elements of the K part and of the V part.
  constexpr long k_elems() const { return long{page_size} * stored_k_dim(); }
  constexpr long v_elems() const { return long{page_size} * stored_v_dim(); }

  // The index maps: element offset from the start of the part.
  constexpr long k_offset(int token, int dim) const { return swizzled_offset(page_size, token, dim, unit); }
  constexpr long v_offset(int token, int dim) const { return swizzled_offset(page_size, token, dim, unit); }
};

// A packed weight [out_dim, in_dim].
struct RowWeight {
  int out_dim, in_dim, unit;

  constexpr int stride() const { return round_up(in_dim, unit); }  // elements from output to output
  constexpr long elems() const { return long{stride()} * out_dim; }
  constexpr long offset(int n, int k) const { return long{n} * stride() + k; }
};

}  // namespace quire
