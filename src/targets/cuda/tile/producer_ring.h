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
};
// Of the producer's four warps two fill keys and two values, each every other page.
QUIRE_DEV int producer_half() { return warp_idx() % 2; }
QUIRE_DEV bool fills_values() { return warp_idx() >= kWarps + kProducerWarps / 2; }

// Rows [begin, end) of `panels` panels of `panel_rows` at `to` become zero: this warp's half of the chunks.
QUIRE_DEV void zero_rows(char* to, int panels, int panel_rows, int begin, int end) {
  for (int panel = 0; panel < panels; ++panel) {
    for (int i = producer_half() * kLaneCount + lane_idx(); i < (end - begin) * kRowChunks; i += 2 * kLaneCount) {
      char* chunk = to + (panel * panel_rows + begin) * 128 + i * 16;
      store_64(chunk, 0, 0);
      store_64(chunk + 8, 0, 0);
    }
  }
}

// What the producer's warp brings of a tile: keys [begin, end), or their values.
template <class E>
struct TilePart {
  const KvView<KvTypes<E, E>, NativePage>& view;
  int panels;      // that pages have
  int begin, end;  // keys
  char* to;        // [panels][max_keys] rows of 128 bytes
  int arrival;     // word
};

// By the copy engine: a page for each lane.
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
    const E* from = view.pool + number * view.page_stride + (fills_values() ? view.v_base : view.k_base) + (begin - first) * 64;
    char* to = part.to + (begin - stage.first_key) * 128;
    for (int panel = 0; panel < part.panels; ++panel) {
      copy_bulk(to + panel * max_keys * 128, from + panel * page_size * 64, rows * 128, arrival_word(part.arrival));
    }
  }
  count_warp(part.arrival);
  const int next_key = stage.first_key + max_keys, next_page = stage.pages.of(next_key) + 2 * lane_idx() + producer_half();
  const bool is_needed = next_page * page_size < view.end_key && next_page * page_size < next_key + max_keys;
  stage.ahead_page = is_needed ? next_page : -1;
  if (is_needed) stage.ahead_number = view.page_table[next_page];
}

// Chunk by chunk, where rows of a page and of the tile have different swizzles.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void fill_by_chunks(const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage, const TilePart<E>& part) {
  wait_for_earlier_launches();
  const KvView<KvTypes<E, E>, NativePage>& view = part.view;
  const Chunks tile{part.to, max_keys};
  const int rows_at_once = kLaneCount / kRowChunks;
  for (int row = producer_half() * rows_at_once + lane_idx() / kRowChunks; row < max_keys; row += 2 * rows_at_once) {
    const int key = stage.first_key + row, chunk = lane_idx() % kRowChunks;
    const bool is_there = key >= part.begin && key < part.end;
    const int page = is_there ? stage.pages.of(key) : 0, token = key - page * view.page.page_size;
    const E* from = view.pool + (is_there ? view.page_table[page] * view.page_stride : 0) + (fills_values() ? view.v_base : view.k_base);
    for (int panel = 0; panel < part.panels; ++panel) {
      const long place = (long{panel * view.page.page_size + token} * kRowChunks + ((chunk ^ token) % kRowChunks)) * kChunkElems<E>;
      copy_async_16(tile.at(row, panel * kRowChunks + chunk), is_there ? from + place : from, is_there);
    }
  }
  copy_async_wait_all();
  shared_memory_fence();
  count_warp(part.arrival);
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
  const int slot = stage.keys_at.slot, max_panels = (is_values ? stage.value_bytes : stage.key_bytes) / (max_keys * 128);
  const TilePart<E> part{view, kExactHeads ? max_panels : panels_of<E>(is_values ? layout.head_dim_vo : layout.head_dim_qk), begin, end,
                         stage.key_rows() + (is_values ? stage.key_bytes : 0), (is_values ? kValuesFull : kKeysFull) + slot};
  arrival_wait(arrival_word((is_values ? kValuesFree : kKeysFree) + slot), stage.keys_at.phase ^ 1);
  if (!kExactHeads) zero_rows(part.to + part.panels * max_keys * 128, max_panels - part.panels, max_keys, 0, max_keys);
  if (layout.page_size % 8 != 0) {
    fill_by_chunks(stage, part);
  } else {
    if (end - begin < max_keys && (is_values || max_rows == kFewRows)) {
      zero_rows(part.to, part.panels, max_keys, 0, begin - stage.first_key);
      zero_rows(part.to, part.panels, max_keys, end - stage.first_key, max_keys);
      shared_memory_fence();
    } else if (!kExactHeads) {
      shared_memory_fence();
    }
    fill_by_pages(stage, part);
  }
  stage.keys_at.advance(stage.kSlots);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
