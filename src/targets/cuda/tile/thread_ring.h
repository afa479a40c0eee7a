// A ring of tiles of keys and values that all threads of a program fill with asynchronous copies.
#pragma once

#include "targets/cuda/tile/page_access.h"

namespace quire {
namespace QUIRE_TARGET {

// A ring of tiles of keys and values. `select` makes one of them the current one.
template <class E, int max_rows, int max_keys>
struct KvStage<KvTypes<E, E>, max_rows, max_keys> {
  using Elem = E;
  static constexpr bool kIsOfWarps = max_rows == kFewRows;  // each warp fills and reads its own keys
  static constexpr int kStages = QUIRE_RING_KEYS / max_keys;
  char* base;                       // [kStages][K strips, V strips]
  char* probs;                      // for f32 only: memory for probabilities, see ValueProduct
  int key_bytes, value_bytes;       // of one tile
  char *k = nullptr, *v = nullptr;  // of the current tile
  int k_chunks = 0, v_chunks = 0;   // of a row that products read
  int origin = 0;                   // first key of tile 0
  int first_key = 0, num_keys = max_keys;
  int slot = 0;
  // dim_qk and dim_vo are the largest head sizes.
  KvStage(const KvStage&) = delete;
  QUIRE_DEV KvStage(Program& p, int dim_qk, int dim_vo)
      : base(p.take(kStages * (strips_of<E>(dim_qk) + strips_of<E>(dim_vo)) * max_keys * 128)),
        probs(sizeof(E) == 4 ? p.take(kFewRows * kWarps * max_keys * 4) : nullptr),
        key_bytes(strips_of<E>(dim_qk) * max_keys * 128),
        value_bytes(strips_of<E>(dim_vo) * max_keys * 128) {
    if (kExactHeads) k_chunks = dim_qk / kChunkElems<E>, v_chunks = dim_vo / kChunkElems<E>;
  }

  QUIRE_DEV void select(int tile) {
    slot = tile % kStages;
    k = base + slot * (key_bytes + value_bytes);
    v = k + key_bytes;
    first_key = origin + tile * max_keys;
  }
  QUIRE_DEV void set_origin() { origin = first_key; }  // after tile 0 has been loaded

  // Rows of up to `max_cols` elements, always in strips of 8 chunks.
  template <int max_cols>
  QUIRE_DEV Chunks keys() const {
    return {k, max_keys};
  }
  template <int max_cols>
  QUIRE_DEV Chunks values() const {
    return {v, max_keys};
  }
  QUIRE_DEV int k_steps() const { return k_chunks / 2; }
};

// Starts copying keys and values [begin, end) of the tile that key `begin` is in; the rest of the tile is
// zero. Eight threads copy a row. All page numbers are read before the first copy, so that their latencies
// overlap. With 16 rows a warp copies the keys that it multiplies itself.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void load_pages(KvStage<KvTypes<E, E>, max_rows, max_keys>& stage,
                          const KvView<KvTypes<E, E>, NativePage>& view, int begin, int end) {
  constexpr bool kFew = max_rows == kFewRows;
  constexpr int kUnit = kChunkElems<E>, kRows = max_keys * kRowChunks / (kWarps * kLaneCount);
  constexpr int kStep = (kFew ? 1 : kWarps) * kLaneCount / kRowChunks;  // rows at once
  static_assert(kRows * kWarps * kLaneCount == max_keys * kRowChunks, "whole rounds of rows");
  const NativePage& layout = view.page;
  const int k_full = ceil_div(layout.head_dim_qk, kUnit), v_full = ceil_div(layout.head_dim_vo, kUnit);
  if (!kExactHeads) {
    stage.k_chunks = read_chunks<E>(layout.head_dim_qk);
    stage.v_chunks = read_chunks<E>(layout.head_dim_vo);
  }
  stage.first_key = begin / max_keys * max_keys;
  const PageIndex page_of(layout.page_size);
  const int first_row =
      kFew ? warp_idx() * (max_keys / kWarps) + lane_idx() / kRowChunks : thread_idx() / kRowChunks;
  const int first_chunk = thread_idx() % kRowChunks;
  // The strip of this thread's chunk among those after the last strip of 8.
  const ColumnStrip k_last = strip_of(k_full, k_full / kRowChunks * kRowChunks + first_chunk);
  const ColumnStrip v_last = strip_of(v_full, v_full / kRowChunks * kRowChunks + first_chunk);
  const Chunks keys{stage.k, max_keys}, values{stage.v, max_keys};
  const auto copy = [&](int row, const PagedToken<E>& at) {
    const bool is_there = at.token >= 0;
    const int token = is_there ? at.token : 0;
    const auto from = [&](const ColumnStrip& last, int c) {
      const bool is_whole = kExactHeads || c < last.first;
      return (is_whole ? ColumnStrip{c - first_chunk, kRowChunks} : last).place(layout.page_size, token, c) *
             kUnit;
    };
    for (int c = first_chunk; c < stage.k_chunks; c += kRowChunks) {
      copy_async_16(keys.at(row, c), at.page + view.k_base + from(k_last, c), is_there && c < k_full);
    }
    for (int c = first_chunk; c < stage.v_chunks; c += kRowChunks) {
      copy_async_16(values.at(row, c), at.page + view.v_base + from(v_last, c), is_there && c < v_full);
    }
  };
  PagedToken<E> tokens[kRows];
#pragma unroll
  for (int i = 0; i < kRows; ++i)
    tokens[i] = find_token(view, page_of, stage.first_key + first_row + i * kStep, begin, end);
#pragma unroll
  for (int i = 0; i < kRows; ++i) copy(first_row + i * kStep, tokens[i]);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
