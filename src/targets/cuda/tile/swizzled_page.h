// The cuda target's layout of pages: plain arithmetic that kernels, host and tests share.
//
// The unit is a chunk of 16 bytes. The chunks of a head are divided into strips of 8, and the rest into at
// most one strip each of 4, 2 and 1. Only the last chunk is padded, with zeros. The K part and the V part of
// a page both are
//   [strips][page_size][width chunks]     chunk c of a strip, of token t, at place c ^ (t width / 8 % width)
// which is what a matrix unit reads from shared memory with a swizzle of 128, 64 or 32 bytes, or with none.
// Tiles of keys and values in shared memory have the same strips.
#pragma once

#include "tile/ranges.h"

namespace quire {

constexpr int kRowChunks = 8;

// Chunks [first, first + width) of a row.
struct ColumnStrip {
  int first, width;
  // The offset of one of these chunks in a matrix of `num_rows` rows, in chunks.
  constexpr long place(int num_rows, int row, int chunk) const {
    return long{first} * num_rows + row * width + ((chunk - first) ^ (row * width / kRowChunks % width));
  }
};
// The strip that a chunk belongs to, in rows of `num_chunks` chunks.
constexpr ColumnStrip strip_of(int num_chunks, int chunk) {
  ColumnStrip strip{chunk / kRowChunks * kRowChunks, kRowChunks};
  if (strip.first + kRowChunks <= num_chunks) return strip;
  for (strip.width = 4; strip.width > 1; strip.width /= 2) {
    if ((num_chunks & strip.width) == 0) continue;
    if (chunk < strip.first + strip.width) break;
    strip.first += strip.width;
  }
  return strip;
}

// One page of one KV head.
struct SwizzledPage {
  int page_size;                 // tokens
  int head_dim_qk, head_dim_vo;  // elements
  int unit;                      // elements of a chunk

  // Elements of a token's key and value that are written: the head size, and zeros up to a whole chunk.
  constexpr int stored_k_dim() const { return round_up(head_dim_qk, unit); }
  constexpr int stored_v_dim() const { return round_up(head_dim_vo, unit); }

  // Elements of the K part and of the V part.
  constexpr long k_elems() const { return long{page_size} * stored_k_dim(); }
  constexpr long v_elems() const { return long{page_size} * stored_v_dim(); }

  // The index maps: element offset from the start of the part.
  constexpr long k_offset(int token, int dim) const { return offset(stored_k_dim(), token, dim); }
  constexpr long v_offset(int token, int dim) const { return offset(stored_v_dim(), token, dim); }

  constexpr long offset(int stored_dim, int token, int dim) const {
    const int chunk = dim / unit;
    return strip_of(stored_dim / unit, chunk).place(page_size, token, chunk) * unit + dim % unit;
  }
};

}  // namespace quire
