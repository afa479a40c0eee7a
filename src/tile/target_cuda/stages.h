// Right operands of the cuda target: rings of stages in shared memory that all warps fill with asynchronous copies, and the matrix
// steps on them. Keys, values and weights are rows of swizzled chunks; a row is one column of the product for keys and weights.
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
    p.is_of_few = true;
  }

  QUIRE_DEV void select(int tile) {
    slot = tile % kStages;
    k = base + slot * 2 * panel_bound * max_keys * 128;
    v = k + panel_bound * max_keys * 128;
    first_key = origin + tile * max_keys;
  }
  QUIRE_DEV void set_origin() { origin = first_key; }  // after tile 0 has been loaded

  QUIRE_DEV void wait_for_bulk(int tile) {
#if QUIRE_WARPGROUPS
    select(tile);
    const unsigned bit = 1u << slot;
    if ((bulk_slots & bit) == 0) return;
    bulk_slots ^= bit;
    arrival_wait(arrival_word(kOfWarps + warp_idx() * 4 + slot), (program.phases & bit) != 0 ? 1 : 0);
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
// The warp's own keys of the tile by the copy engine: a piece of a page and panel for each lane. False, and nothing is done, if pages
// do not cut them into whole pieces of 8.
template <class E, int max_rows, int max_keys>
QUIRE_DEV bool copy_keys_bulk(KvStage<E, max_rows, max_keys>& stage, const KvView<E>& view) {
  constexpr int kKeys = max_keys / kWarps;
  const int page_size = view.shape.page_size, piece = page_size < kKeys ? page_size : kKeys;
  if (!kExactHeads || sizeof(E) != 2 || page_size % 8 != 0 || kKeys % piece != 0 || page_size % piece != 0) return false;
  stage.bulk_slots |= 1u << stage.slot;
  const int panels = stage.panel_bound, num_pieces = kKeys / piece * 2 * panels, first_row = warp_idx() * kKeys;
  char* arrival = arrival_word(kOfWarps + warp_idx() * 4 + stage.slot);
  shared_memory_fence();  // what the warp copied here before by itself
  if (lane_idx() == 0) arrival_expect(arrival, kKeys * 2 * panels * 128);
  warp_barrier();
  const PageIndex page_of(page_size);
  for (int i = lane_idx(); i < num_pieces; i += kLaneCount) {
    const int row = first_row + i / (2 * panels) * piece, panel = i % panels, key = stage.first_key + row, page = page_of.of(key);
    const int page_number = key == stage.ahead_key ? stage.ahead_page : view.page_table[page];
    const bool is_value = i / panels % 2 != 0;
    const E* from = view.pool + page_number * view.page_stride + (is_value ? view.v_base : view.k_base);
    copy_bulk((is_value ? stage.v : stage.k) + (panel * max_keys + row) * 128, from + (long{panel * page_size} + key - page * page_size) * 64,
              piece * 128, arrival);
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
QUIRE_DEV void copy_pages(KvStage<E, max_rows, max_keys>& stage, const KvView<E>& view, int begin, int end) {
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
  stage.first_key = begin / max_keys * max_keys;
#if QUIRE_WARPGROUPS
  const int own_key = stage.first_key + warp_idx() * (max_keys / kWarps);
  if (own_key >= begin && own_key + max_keys / kWarps <= end && copy_keys_bulk(stage, view)) return;
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
    for (int c = first_chunk; c < stage.k_chunks; c += kRowChunks) {
      copy_async_16(stage.keys().at(row, c), at.page + view.k_base + from(c), is_there && c < k_full);
    }
    for (int c = first_chunk; c < stage.v_chunks; c += kRowChunks) {
      copy_async_16(stage.values().at(row, c), at.page + view.v_base + from(c), is_there && c < v_full);
    }
  };
  PagedToken<E> tokens[kRows];
#pragma unroll
  for (int i = 0; i < kRows; ++i) tokens[i] = find(first_row + i * kStep);
#pragma unroll
  for (int i = 0; i < kRows; ++i) copy(first_row + i * kStep, tokens[i]);
}

template <class E, int max_rows, int max_keys>
QUIRE_DEV void load_pages(KvStage<E, max_rows, max_keys>& stage, const KvView<E>& view, int begin, int end) {
  if constexpr (uses_warpgroups<E>(max_rows)) {
    produce(stage, view, begin, end);
  } else {
    copy_pages(stage, view, begin, end);
  }
}

// One token's key or value into a page, by all threads, zeros up to a whole chunk.
template <class E>
QUIRE_DEV void store_key(E* page, const PageShape& shape, int token, const E* k) {
  for (int d = thread_idx(); d < stored_k_dim(shape); d += num_threads()) {
    page[k_offset(shape, token, d)] = d < shape.head_dim_qk ? k[d] : E{};
  }
}
template <class E>
QUIRE_DEV void store_value(E* page, const PageShape& shape, int token, const E* v) {
  for (int d = thread_idx(); d < stored_v_dim(shape); d += num_threads()) {
    page[v_offset(shape, token, d)] = d < shape.head_dim_vo ? v[d] : E{};
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

// A step of a linear layer: rows of x and rows of W, both [.., max_k].
template <class E, int max_rows, int max_cols, int max_k>
struct LinearStage {
  static constexpr int kPanels = panels_of<E>(max_k);
  static constexpr bool kIsOfWarps = false;
  static constexpr int kStages = QUIRE_RING_STEPS;
  char* base;  // [kStages][x panels, W panels]
  char *x = nullptr, *w = nullptr;
  int in_dim = 0;
  int chunks = 0;  // that are read

  QUIRE_DEV explicit LinearStage(Program& program) : base(program.take(kStages * kPanels * (max_rows + max_cols) * 128)) {}
  QUIRE_DEV void select(int step) {
    x = base + step % kStages * kPanels * (max_rows + max_cols) * 128;
    w = x + kPanels * max_rows * 128;
    set_chunks(step * max_k);
  }
  QUIRE_DEV void set_origin() {}
  QUIRE_DEV void wait_for_bulk(int) {}
  // A warp of few rows has a fixed part of k, so all of it is there.
  QUIRE_DEV void set_chunks(int k_begin) {
    const int k_len = in_dim - k_begin < max_k ? in_dim - k_begin : max_k;
    chunks = max_rows == kFewRows ? max_k / kChunkElems<E> : read_chunks<E>(k_len);
  }
};

// Columns from col_begin and k from k_begin, as many as the stage holds and the weight has; the rest is zero.
template <class E, int max_rows, int max_cols, int max_k>
QUIRE_DEV void load_block(LinearStage<E, max_rows, max_cols, max_k>& stage, const RowsView<E>& x, const WeightView<E>& weight,
                          int col_begin, int k_begin) {
  constexpr int kUnit = kChunkElems<E>;
  const int k_len = weight.in_dim - k_begin < max_k ? weight.in_dim - k_begin : max_k;
  const long w_stride = round_up(weight.in_dim, kUnit);
  stage.in_dim = weight.in_dim;
  stage.set_chunks(k_begin);
  const Chunks xs{stage.x, max_rows}, ws{stage.w, max_cols};
  for (int i = thread_idx(); i < (max_rows + max_cols) * stage.chunks; i += num_threads()) {
    const int row = i / stage.chunks, chunk = i % stage.chunks;
    if (row < max_rows) {
      copy_chunk(xs.at(row, chunk), row < x.num ? x.first + row * x.stride + k_begin : nullptr, chunk * kUnit, k_len);
    } else {
      const int col = row - max_rows;
      const bool is_there = col_begin + col < weight.out_dim;
      copy_chunk(ws.at(col, chunk), is_there ? weight.first + (col_begin + col) * w_stride + k_begin : nullptr, chunk * kUnit,
                 round_up(k_len, kUnit));
    }
  }
}

// out += x W^T
template <class E, int max_rows, int max_cols, int max_k>
QUIRE_DEV void dot_add(Accum<max_rows, max_cols>& out, const LinearStage<E, max_rows, max_cols, max_k>& s) {
  constexpr bool kFew = max_rows == kFewRows;
  constexpr int kPart = max_k / kChunkElems<E> / 2 / kWarps;
  const Chunks x{s.x, max_rows}, w{s.w, max_cols};
  const int begin = kFew ? warp_idx() * kPart : 0, end = kFew ? begin + kPart : s.chunks / 2;
  RowProduct<E, max_cols / 8>::run(out.x, x, kFew ? 0 : warp_idx() * kFewRows, w, 0, begin, end);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
