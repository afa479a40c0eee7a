// A ring of tiles of keys and values that a warpgroup beside the team, the producer, fills by bulk copies.
#pragma once

#include "targets/cuda/tile/page_access.h"

namespace quire {
namespace QUIRE_TARGET {

// Keys and values have slots of their own, as keys are done with earlier. For the producer `keys_at` is the tile it fills next.
template <class E, int max_rows, int max_keys>
struct KvStage<KvTypes<E, E>, max_rows, max_keys> {
  using Elem = E;
  static constexpr int kSlots = QUIRE_RING_KEYS / max_keys, kMaxRows = max_rows;
  Program& program;
  int key_bytes, value_bytes;  // of one tile
  char* base;      // [kSlots][keys, values]
  RingPlace keys_at, values_at;
  int first_key = 0, num_keys = max_keys;
  PageIndex pages{1};                     // this and what follows is the producer's
  int ahead_page = -1, ahead_number = 0;  // a page of the next tile for each lane, and its number
  int k_chunks, v_chunks;                 // that few rows read
  int late_arrival = -1;                  // word of a tile whose chunks this warp has under way
  char* probs = nullptr;

  // The head sizes are bounds. The ring is at the same place for all items.
  QUIRE_DEV KvStage(Program& p, int dim_qk, int dim_vo)
      : program(p),
        key_bytes(panels_of<E>(dim_qk) * max_keys * 128),
        value_bytes(panels_of<E>(dim_vo) * max_keys * 128),
        base(p.take_from(panels_of<E>(dim_qk) * kManyRows * 128)),
        keys_at(p.ring),
        values_at(p.ring),
        k_chunks(panels_of<E>(dim_qk) * kRowChunks),
        v_chunks(panels_of<E>(dim_vo) * kRowChunks) {}

  QUIRE_DEV char* key_rows() const { return base + keys_at.slot * (key_bytes + value_bytes); }
  QUIRE_DEV char* value_rows() const { return base + values_at.slot * (key_bytes + value_bytes) + key_bytes; }
  QUIRE_DEV Chunks keys() const { return {key_rows(), max_keys}; }
  QUIRE_DEV Chunks values() const { return {value_rows(), max_keys}; }

  QUIRE_DEV void wait_for_keys() const { arrival_wait(arrival_word(kKeysFull + keys_at.slot), keys_at.phase); }
  QUIRE_DEV void wait_for_values() const { arrival_wait(arrival_word(kValuesFull + values_at.slot), values_at.phase); }
  QUIRE_DEV void free_keys() {
    count_warp(kKeysFree + keys_at.slot);
    keys_at.advance(kSlots);
  }
  QUIRE_DEV void free_values() {
    count_warp(kValuesFree + values_at.slot);
    values_at.advance(kSlots);
  }

  // By a warp of the producer: chunks that it copied itself are counted when those of the next tile have been asked for, so that nobody
  // waits for one tile alone.
  QUIRE_DEV void count_late(int word) {
    copy_async_commit();
    if (late_arrival >= 0) count_when_there<1>();
    late_arrival = word;
    if (kExactHeads) finish();  // such pages alone, and registers are short
  }
  // The last tile of an item has been asked for.
  QUIRE_DEV void finish() {
    if (late_arrival >= 0) count_when_there<0>();
    late_arrival = -1;
  }
  template <int pending>
  QUIRE_DEV void count_when_there() {
    copy_async_wait<pending>();
    shared_memory_fence();
    count_warp(late_arrival);
  }
};
// Of the producer's four warps two fill keys and two values, each every other page.
QUIRE_DEV int producer_half() { return warp_idx() % 2; }
QUIRE_DEV bool fills_values() { return warp_idx() >= kWarps + kProducerWarps / 2; }

// A chunk for each call becomes zero: this warp's half of `num`, of which chunk(i) is the i-th.
template <class Chunk>
QUIRE_DEV void zero_chunks(int num, const Chunk& chunk) {
  for (int i = producer_half() * kLaneCount + lane_idx(); i < num; i += 2 * kLaneCount) {
    char* to = chunk(i);
    store_64(to, 0, 0);
    store_64(to + 8, 0, 0);
  }
}
// Rows [begin, end) of `panels` panels of `panel_rows` at `to` become zero.
QUIRE_DEV void zero_rows(char* to, int panels, int panel_rows, int begin, int end) {
  for (int panel = 0; panel < panels; ++panel) {
    char* rows = to + (panel * panel_rows + begin) * 128;
    zero_chunks((end - begin) * kRowChunks, [&](int i) { return rows + i * 16; });
  }
}

// What the producer's warp brings of a tile: keys [begin, end), or their values.
template <class E>
struct TilePart {
  const KvView<KvTypes<E, E>, NativePage>& view;
  int panels, chunks;  // that the copy engine brings; of a row in a page
  int begin, end;      // keys
  char* to;            // [panels][max_keys] rows of 128 bytes
  int arrival;         // word
  long base;           // in a page, elements
};

// Whole panels by the copy engine: a page for each lane.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void fill_by_pages(KvStage<KvTypes<E, E>, max_rows, max_keys>& stage, const TilePart<E>& part) {
  const KvView<KvTypes<E, E>, NativePage>& view = part.view;
  const int page_size = view.page.page_size, page = stage.pages.of(part.begin) + 2 * lane_idx() + producer_half();
  const int first = page * page_size;
  const int begin = first > part.begin ? first : part.begin, end = first + page_size < part.end ? first + page_size : part.end;
  const int rows = end > begin ? end - begin : 0;
  const int number = rows == 0 ? 0 : page == stage.ahead_page ? stage.ahead_number : view.page_table[page];
  wait_for_earlier_launches();
  if (rows > 0) {
    arrival_announce(arrival_word(part.arrival), rows * part.panels * 128);
    const E* from = view.pool + number * view.page_stride + part.base + (begin - first) * 64;
    char* to = part.to + (begin - stage.first_key) * 128;
    for (int panel = 0; panel < part.panels; ++panel) {
      copy_bulk(to + panel * max_keys * 128, from + panel * page_size * 64, rows * 128, arrival_word(part.arrival));
    }
  }
  if (part.panels * kRowChunks == part.chunks) count_warp(part.arrival);
  const int next_key = stage.first_key + max_keys, next_page = stage.pages.of(next_key) + 2 * lane_idx() + producer_half();
  const bool is_needed = next_page * page_size < view.end_key && next_page * page_size < next_key + max_keys;
  stage.ahead_page = is_needed ? next_page : -1;
  if (is_needed) stage.ahead_number = view.page_table[next_page];
}

// The rest chunk by chunk, `lanes` lanes for each 8 chunks of a row: narrower panels, and all where rows of a page and of the tile have
// different swizzles. Rows that are not there become zero.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void fill_by_chunks(KvStage<KvTypes<E, E>, max_rows, max_keys>& stage, const TilePart<E>& part) {
  wait_for_earlier_launches();
  const KvView<KvTypes<E, E>, NativePage>& view = part.view;
  const Chunks tile{part.to, max_keys};
  const int first_chunk = kExactHeads ? 0 : part.panels * kRowChunks, width = part.chunks - first_chunk;
  const int lanes = kExactHeads || width > 4 ? kRowChunks : width > 2 ? 4 : width, rows_at_once = kLaneCount / lanes;
  for (int row = producer_half() * rows_at_once + lane_idx() / lanes; row < max_keys; row += 2 * rows_at_once) {
    const PagedToken<E> at = find_token(view, stage.pages, stage.first_key + row, part.begin, part.end);
    const int token = at.token >= 0 ? at.token : 0;
    for (int chunk = first_chunk + lane_idx() % lanes; chunk < part.chunks; chunk += lanes) {
      const ChunkPanel panel = kExactHeads ? ChunkPanel{chunk / kRowChunks * kRowChunks, kRowChunks} : panel_of(part.chunks, chunk);
      const long place = panel.place(view.page.page_size, token, chunk) * kChunkElems<E>;
      copy_async_16(tile.at(row, chunk), at.page + part.base + place, at.token >= 0);
    }
  }
  stage.count_late(part.arrival);
}

// Columns behind the head size, in all slots of the ring, once for all items of a launch: their heads have one size.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void zero_padding(const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage, int chunks, int tile_bytes, int tile_begin) {
  const int missing = tile_bytes / (max_keys * 16) - chunks;
  if (missing == 0) return;
  for (int slot = 0; slot < stage.kSlots; ++slot) {
    const Chunks tile{stage.base + slot * (stage.key_bytes + stage.value_bytes) + tile_begin, max_keys};
    zero_chunks(missing * max_keys, [&](int i) { return tile.at(i % max_keys, chunks + i / max_keys); });
  }
}

// Keys [begin, end) of a tile into the next slots, when they are free; the rest of the tile is zero, but for keys of many rows, whose
// scores are masked. The team only learns where the tile begins.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void load_pages(KvStage<KvTypes<E, E>, max_rows, max_keys>& stage, const KvView<KvTypes<E, E>, NativePage>& view, int begin, int end) {
  const NativePage& layout = view.page;
  stage.first_key = begin / max_keys * max_keys;
  if (!kExactHeads) stage.v_chunks = read_chunks<E>(layout.head_dim_vo);
  if (!is_producer()) return;
  if (stage.pages.size != layout.page_size) stage.pages = PageIndex(layout.page_size);
  const bool is_values = fills_values();
  const int slot = stage.keys_at.slot, tile_bytes = is_values ? stage.value_bytes : stage.key_bytes, tile_begin = is_values ? stage.key_bytes : 0;
  const int chunks = kExactHeads ? tile_bytes / (max_keys * 16) : (is_values ? layout.stored_v_dim() : layout.stored_k_dim()) / kChunkElems<E>;
  const int panels = layout.page_size % 8 == 0 ? chunks / kRowChunks : 0;
  const TilePart<E> part{view, panels, chunks, begin, end, stage.key_rows() + tile_begin, (is_values ? kValuesFull : kKeysFull) + slot,
                         is_values ? view.v_base : view.k_base};
  arrival_wait(arrival_word((is_values ? kValuesFree : kKeysFree) + slot), stage.keys_at.phase ^ 1);
  if (!kExactHeads && !stage.program.is_padded) {
    zero_padding(stage, chunks, tile_bytes, tile_begin);
    shared_memory_fence();
    stage.program.is_padded = true;
  }
  if (panels > 0) {
    if (end - begin < max_keys && (is_values || max_rows == kFewRows)) {
      zero_rows(part.to, panels, max_keys, 0, begin - stage.first_key);
      zero_rows(part.to, panels, max_keys, end - stage.first_key, max_keys);
      shared_memory_fence();
    }
    fill_by_pages(stage, part);
  }
  if (panels * kRowChunks < chunks) fill_by_chunks(stage, part);
  stage.keys_at.advance(stage.kSlots);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
