// Keys and values of the cuda target: rings of stages in shared memory that all warps fill with asynchronous copies, and the matrix
// steps on them, which weights share. All are rows of swizzled chunks; a row is one column of the product for keys and weights.
#pragma once

#include "tile/target_cuda/tiles.h"

namespace quire {
namespace QUIRE_TARGET {

template <class E>
constexpr PageShape page_shape(int page_size, int head_dim_qk, int head_dim_vo) {
  return {page_size, head_dim_qk, head_dim_vo, {LayoutKind::kSwizzled, kChunkElems<E>}};
}

// Both head sizes are the bound that the kernel was compiled for.
#if QUIRE_EXACT_HEADS
constexpr bool kExactHeads = true;
#else
constexpr bool kExactHeads = false;
#endif

// A ring of tiles of keys and values. `select` makes one of them the current one.
template <class E, int max_rows, int max_keys>
struct KvStage {
  using Elem = E;
  static constexpr bool kIsOfWarps = max_rows == kFewRows;  // each warp fills and reads its own keys
  static constexpr int kStages = QUIRE_RING_KEYS / max_keys;
  char* base;                       // [kStages][K panels, V panels]
  char* probs;                      // f32 alone: scores on their way to the left operand
  int panel_bound;                  // of K, and of V
  char *k = nullptr, *v = nullptr;  // of the current tile
  int k_chunks = 0, v_chunks = 0;   // that are read
  int origin = 0;                   // first key of tile 0
  int first_key = 0, num_keys = max_keys;
  int slot = 0;
  unsigned bulk_slots = 0;          // that bulk copies fill
  int ahead_key = -1, ahead_page = 0;  // the page number of a key that is expected next
  Program& program;

  // `head_dim` bounds both head sizes.
  QUIRE_DEV KvStage(Program& p, int head_dim)
      : base(p.take(kStages * 2 * panels_of<E>(head_dim) * max_keys * 128)),
        probs(sizeof(E) == 4 ? p.take(kFewRows * kWarps * max_keys * 4) : nullptr),
        panel_bound(panels_of<E>(head_dim)),
        program(p) {
    if (kExactHeads) k_chunks = v_chunks = head_dim / kChunkElems<E>;
  }

  QUIRE_DEV void select(int tile) {
    slot = tile % kStages;
    k = base + slot * 2 * panel_bound * max_keys * 128;
    v = k + panel_bound * max_keys * 128;
    first_key = origin + tile * max_keys;
  }
  QUIRE_DEV void set_origin() { origin = first_key; }  // after tile 0 has been loaded

  // The block's barriers serve many rows, a warp's own barriers its keys of few.
  QUIRE_DEV char* arrival() const {
    return shared_memory() + kExchangeBytes + ((kIsOfWarps ? 1 + warp_idx() : 0) * 4 + slot) * 8;
  }
  QUIRE_DEV unsigned arrival_bit() const { return 1u << (slot + (kIsOfWarps ? 4 : 0)); }
  QUIRE_DEV void wait_for_bulk(int tile) {
#if QUIRE_WARPGROUPS
    select(tile);
    const unsigned bit = arrival_bit();
    if ((bulk_slots & bit) == 0) return;
    bulk_slots ^= bit;
    arrival_wait(arrival(), (program.phases & bit) != 0 ? 1 : 0);
    program.phases ^= bit;
#endif
  }
  QUIRE_DEV Chunks keys() const { return {k, max_keys}; }
  QUIRE_DEV Chunks values() const { return {v, max_keys}; }
};

// token / page size for token < 2^31 without a division: the quotient by multiplication is right or one too small.
struct PageIndex {
  int size;
  unsigned reciprocal;
  QUIRE_DEV explicit PageIndex(int page_size) : size(page_size), reciprocal(0xffffffffu / static_cast<unsigned>(page_size)) {}
  QUIRE_DEV int of(int token) const {
    const int page = static_cast<int>(multiply_high(static_cast<unsigned>(token), reciprocal));
    return page + (token - page * size >= size ? 1 : 0);
  }
};

template <class E>
struct PagedToken {
  const E* page;
  int token;  // in the page; negative: none
};

#if QUIRE_WARPGROUPS
// Rows [first_row, + num_rows) of the tile by the copy engine: a piece of a page and panel for each lane. False, and nothing is done, if
// pages do not cut the rows into whole pieces of 8.
template <class E, int max_rows, int max_keys>
QUIRE_DEV bool copy_rows_bulk(KvStage<E, max_rows, max_keys>& stage, const KvView<E>& view, int first_row, int num_rows, bool is_copying) {
  const int page_size = view.shape.page_size, piece = page_size < num_rows ? page_size : num_rows;
  if (!kExactHeads || sizeof(E) != 2 || page_size % 8 != 0 || num_rows % piece != 0 || page_size % piece != 0) return false;
  stage.bulk_slots |= stage.arrival_bit();
  if (!is_copying) return true;
  const int panels = stage.panel_bound, num_pieces = num_rows / piece * 2 * panels;
  shared_memory_fence();  // what the warp copied here before by itself
  if (lane_idx() == 0) arrival_expect(stage.arrival(), num_rows * 2 * panels * 128);
  warp_barrier();
  const PageIndex page_of(page_size);
  for (int i = lane_idx(); i < num_pieces; i += kLaneCount) {
    const int row = first_row + i / (2 * panels) * piece, panel = i % panels, key = stage.first_key + row, page = page_of.of(key);
    const int page_number = key == stage.ahead_key ? stage.ahead_page : view.page_table[page];
    const bool is_value = i / panels % 2 != 0;
    const E* from = view.pool + page_number * view.page_stride + (is_value ? view.v_base : view.k_base);
    copy_bulk((is_value ? stage.v : stage.k) + (panel * max_keys + row) * 128, from + (long{panel * page_size} + key - page * page_size) * 64,
              piece * 128, stage.arrival());
  }
  const int next_key = stage.first_key + max_keys + first_row + lane_idx() / (2 * panels) * piece;
  stage.ahead_key = lane_idx() < num_pieces && next_key < view.end_key ? next_key : -1;
  if (stage.ahead_key >= 0) stage.ahead_page = view.page_table[page_of.of(next_key)];
  return true;
}
#endif

// Keys [begin, end) of the tile that holds `begin`: the rest of the tile is zero. Eight threads bring a row; page numbers are read
// before the first copy, so that their latencies overlap. With 16 rows a warp brings the keys that it multiplies itself.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void load_pages(KvStage<E, max_rows, max_keys>& stage, const KvView<E>& view, int begin, int end) {
  constexpr bool kFew = max_rows == kFewRows;
  constexpr int kUnit = kChunkElems<E>, kRows = max_keys * kRowChunks / (kWarps * kLaneCount);
  constexpr int kStep = (kFew ? 1 : kWarps) * kLaneCount / kRowChunks;  // rows at once
  static_assert(kRows * kWarps * kLaneCount == max_keys * kRowChunks, "whole rounds of rows");
  const PageShape& s = view.shape;
  const int k_full = ceil_div(s.head_dim_qk, kUnit), v_full = ceil_div(s.head_dim_vo, kUnit);
  if (!kExactHeads) {
    stage.k_chunks = read_chunks<E>(s.head_dim_qk);
    stage.v_chunks = read_chunks<E>(s.head_dim_vo);
  }
  const int k_filled = kHasWarpgroups ? stage.panel_bound * kRowChunks : stage.k_chunks;
  stage.first_key = begin / max_keys * max_keys;
#if QUIRE_WARPGROUPS
  const int bulk_row = kFew ? warp_idx() * (max_keys / kWarps) : 0, bulk_rows = kFew ? max_keys / kWarps : max_keys;
  if (stage.first_key + bulk_row >= begin && stage.first_key + bulk_row + bulk_rows <= end &&
      copy_rows_bulk(stage, view, bulk_row, bulk_rows, kFew || warp_idx() == 0)) {
    return;
  }
#endif
  const PageIndex page_of(s.page_size);
  const int first_row = kFew ? warp_idx() * (max_keys / kWarps) + lane_idx() / kRowChunks : thread_idx() / kRowChunks;
  const int first_chunk = thread_idx() % kRowChunks;
  const auto find = [&](int row) {
    const int key = stage.first_key + row, page = page_of.of(key);
    const bool is_there = key >= begin && key < end;
    return PagedToken<E>{view.pool + (is_there ? view.page_table[page] * view.page_stride : 0), is_there ? key - page * s.page_size : -1};
  };
  const auto copy = [&](int row, const PagedToken<E>& at) {
    const bool is_there = at.token >= 0;
    const int token = is_there ? at.token : 0;
    const auto from = [&](int c) { return (long{c / kRowChunks * s.page_size + token} * kRowChunks + ((c ^ token) % kRowChunks)) * kUnit; };
    for (int c = first_chunk; c < k_filled; c += kRowChunks) {
      copy_async_16(stage.keys().at(row, c), at.page + view.k_base + from(c), is_there && c < k_full);
    }
    for (int c = first_chunk; c < stage.v_chunks; c += kRowChunks) {
      copy_async_16(stage.values().at(row, c), at.page + view.v_base + from(c), is_there && c < v_full);
    }
  };
  if constexpr (kHasWarpgroups && !kFew) {  // matrix units work meanwhile, and registers are short
#pragma unroll 1
    for (int i = 0; i < kRows; ++i) copy(first_row + i * kStep, find(first_row + i * kStep));
  } else {
    PagedToken<E> tokens[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) tokens[i] = find(first_row + i * kStep);
#pragma unroll
    for (int i = 0; i < kRows; ++i) copy(first_row + i * kStep, tokens[i]);
  }
}

// Keys and values of one token's heads into its page, a chunk a thread, zeros up to whole chunks.
template <class E>
QUIRE_DEV void store_token(const TokenSlot<E>& to, const PageShape& shape, int num_heads, const E* k, const E* v) {
  constexpr int kUnit = kChunkElems<E>;
  const int k_chunks = ceil_div(shape.head_dim_qk, kUnit), chunks = k_chunks + ceil_div(shape.head_dim_vo, kUnit);
  for (int i = thread_idx(); i < num_heads * chunks; i += num_threads()) {
    const int head = i / chunks, chunk = i % chunks;
    const bool is_value = chunk >= k_chunks;
    const int dim = is_value ? shape.head_dim_vo : shape.head_dim_qk, first = (is_value ? chunk - k_chunks : chunk) * kUnit;
    unsigned bits[4];
    load_chunk(bits, (is_value ? v : k) + long{head} * dim, first, dim);
    E* page = (is_value ? to.v : to.k) + head * to.head_stride;
    store_bits(page + (is_value ? v_offset(shape, to.token, first) : k_offset(shape, to.token, first)), bits);
  }
}

// Left fragment of 16 rows from `first_row`, 16 elements of k from chunk pair `step`.
QUIRE_DEV void load_left(unsigned (&a)[4], const Chunks& rows, int first, int step) {
  load_matrix(a, rows.at(first + lane_idx() % 16, 2 * step + lane_idx() / 16));
}
// Right fragments of two blocks of 8 columns, which are 16 rows of keys or weights: {b0, b1} and {b2, b3}.
QUIRE_DEV void load_right(unsigned (&b)[4], const Chunks& rows, int first, int step) {
  load_matrix(b, rows.at(first + lane_idx() / 16 * 8 + lane_idx() % 8, 2 * step + lane_idx() / 8 % 2));
}
// The same with k along the rows and the columns along chunks 2 `pair` and + 1: values.
QUIRE_DEV void load_right_transposed(unsigned (&b)[4], const Chunks& rows, int first, int pair) {
  load_matrix_transposed(b, rows.at(first + lane_idx() % 16, 2 * pair + lane_idx() / 16));
}

// c[16 rows, 8 num_blocks columns] += left rows . right rows, over chunk pairs [begin, end) of both. `first_left` and `first_right`
// are this warp's rows.
template <class E, int num_blocks>
struct RowProduct {
  static QUIRE_DEV void run(float (&c)[num_blocks][4], const Chunks& left, int first_left, const Chunks& right, int first_right,
                            int begin, int end) {
#pragma unroll 8
    for (int step = begin; step < end; ++step) {
      unsigned a[4];
      load_left(a, left, first_left, step);
#pragma unroll
      for (int n = 0; n < num_blocks; n += 2) {
        unsigned b[4];
        load_right(b, right, first_right + n * 8, step);
        multiply_step(E{}, c[n], a, b[0], b[1]);
        if (n + 1 < num_blocks) multiply_step(E{}, c[n + 1], a, b[2], b[3]);
      }
    }
  }
};
// f32 by plain multiply-adds: a matrix step would round its inputs to tf32.
template <int num_blocks>
struct RowProduct<float, num_blocks> {
  static QUIRE_DEV float elem(const Chunks& rows, int row, int k) {
    return reinterpret_cast<const float*>(rows.at(row, k / 4))[k % 4];
  }
  static QUIRE_DEV void run(float (&c)[num_blocks][4], const Chunks& left, int first_left, const Chunks& right, int first_right,
                            int begin, int end) {
    const int row = first_left + lane_idx() / 4, col = first_right + lane_idx() % 4 * 2;
    for (int k = begin * 8; k < end * 8; ++k) {
      const float a[2] = {elem(left, row, k), elem(left, row + 8, k)};
#pragma unroll
      for (int n = 0; n < num_blocks; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) c[n][i] += a[i / 2] * elem(right, col + n * 8 + i % 2, k);
      }
    }
  }
};

template <class E, int max_rows, int max_k, int max_keys>
QUIRE_DEV void multiply_keys(Scores<max_rows, max_keys>& scores, const Operand<E, max_rows, max_k>& q,
                             const KvStage<E, max_rows, max_keys>& stage) {
  constexpr bool kFew = max_rows == kFewRows;
#pragma unroll
  for (int n = 0; n < scores.kBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores.x[n][i] = 0;
  }
  constexpr int kBlocks = Scores<max_rows, max_keys>::kBlocks;
  RowProduct<E, kBlocks>::run(scores.x, q.chunks(), kFew ? 0 : warp_idx() * kFewRows, stage.keys(),
                              kFew ? warp_idx() * kBlocks * 8 : 0, 0, stage.k_chunks / 2);
}

// out[16 rows, cols] += this warp's probs . values of keys [first_key, + 8 num_keys_blocks).
template <class E, int num_key_blocks, int num_blocks>
struct ValueProduct {
  static QUIRE_DEV void run(float (&out)[num_blocks][4], const float (&p)[num_key_blocks][4], const Chunks& values, int first_key,
                            int num_chunks, char*) {
    static_assert(num_key_blocks % 2 == 0, "whole matrix steps");
#pragma unroll
    for (int step = 0; step < num_key_blocks / 2; ++step) {
      unsigned a[4];
      pack_left<E>(a, p, step);
#pragma unroll
      for (int n = 0; n < num_blocks; n += 2) {
        if (n >= num_chunks) break;
        unsigned b[4];
        load_right_transposed(b, values, first_key + step * 16, n / 2);
        multiply_step(E{}, out[n], a, b[0], b[1]);
        multiply_step(E{}, out[n + 1], a, b[2], b[3]);
      }
    }
  }
};
template <int num_key_blocks, int num_blocks>
struct ValueProduct<float, num_key_blocks, num_blocks> {
  // Through shared memory, as each lane needs whole rows; a warp reads what it wrote.
  static QUIRE_DEV void run(float (&out)[num_blocks][4], const float (&p)[num_key_blocks][4], const Chunks& values, int first_key,
                            int num_chunks, char* memory) {
    constexpr int kKeys = num_key_blocks * 8;
    float* probs = reinterpret_cast<float*>(memory) + warp_idx() * kFewRows * kKeys;
    const int row = lane_idx() / 4, col = lane_idx() % 4 * 2;
    warp_barrier();
    for (int n = 0; n < num_key_blocks; ++n) {
      for (int i = 0; i < 4; ++i) probs[(row + i / 2 * 8) * kKeys + n * 8 + col + i % 2] = p[n][i];
    }
    warp_barrier();
    for (int k = 0; k < kKeys; ++k) {
      const float a[2] = {probs[row * kKeys + k], probs[(row + 8) * kKeys + k]};
#pragma unroll
      for (int n = 0; n < num_blocks; ++n) {
        if (n * 2 >= num_chunks) break;
        const float* v = reinterpret_cast<const float*>(values.at(first_key + k, n * 2 + col / 4)) + col % 4;
#pragma unroll
        for (int i = 0; i < 4; ++i) out[n][i] += a[i / 2] * v[i % 2];
      }
    }
  }
};

template <class E, int max_rows, int max_keys, int max_out>
QUIRE_DEV void multiply_values(Accum<max_rows, max_out>& out, const Scores<max_rows, max_keys>& probs,
                               const KvStage<E, max_rows, max_keys>& stage) {
  constexpr int kBlocks = Scores<max_rows, max_keys>::kBlocks;
  const int first_key = max_rows == kFewRows ? warp_idx() * kBlocks * 8 : 0;
  ValueProduct<E, kBlocks, max_out / 8>::run(out.x, probs.x, stage.values(), first_key, stage.v_chunks, stage.probs);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
