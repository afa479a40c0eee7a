// A ring of tiles of keys and values that producer warps fill by bulk copies.
#pragma once

#include "targets/cuda/tile/page_access.h"

namespace quire {
namespace QUIRE_TARGET {

// Keys and values have separate slots and barriers, because the consumers are done with keys earlier. In a
// producer warp `keys_at` is the slot that it fills next. A tile has the same strips as a page,
// [strips][max_keys][width chunks], so that the rows of a page can be copied without change.
template <class E, int max_rows, int max_keys>
struct KvStage<KvTypes<E, E>, max_rows, max_keys> {
  using Elem = E;
  static constexpr int kSlots = QUIRE_RING_KEYS / max_keys, kMaxRows = max_rows;
  Program& program;
  int k_chunks, v_chunks;      // of a row
  int key_bytes, value_bytes;  // of one tile
  char* base;                  // [kSlots][keys, values]
  RingPlace keys_at, values_at;
  int first_key = 0, num_keys = max_keys;
  // For producer warps: each lane reads the number of one page of the next tile ahead of time.
  PageIndex pages{1};
  int ahead_page = -1, ahead_number = 0;  // index in the page table, -1 if there is none; page number
  char* probs = nullptr;

  // The head sizes are whole chunks. The ring is at the same address for all items: after the left operand
  // and the memory in which sums are joined.
  KvStage(const KvStage&) = delete;
  QUIRE_DEV KvStage(Program& p, int dim_qk, int dim_vo)
      : program(p),
        k_chunks(dim_qk / kChunkElems<E>),
        v_chunks(dim_vo / kChunkElems<E>),
        key_bytes(k_chunks * max_keys * 16),
        value_bytes(v_chunks * max_keys * 16),
        base(p.take_from(strips_of<E>(dim_qk > dim_vo ? dim_qk : dim_vo) * kManyRows * 128)),
        keys_at(p.ring),
        values_at(p.ring) {}

  QUIRE_DEV char* key_rows() const { return base + keys_at.slot * (key_bytes + value_bytes); }
  QUIRE_DEV char* value_rows() const { return base + values_at.slot * (key_bytes + value_bytes) + key_bytes; }
  // `cols` is the head size of the ring.
  template <int cols>
  QUIRE_DEV StripChunks<cols / kChunkElems<E>> keys() const {
    return {key_rows(), max_keys};
  }
  template <int cols>
  QUIRE_DEV StripChunks<cols / kChunkElems<E>> values() const {
    return {value_rows(), max_keys};
  }
  QUIRE_DEV int k_steps() const { return ceil_div(k_chunks, 2); }

  QUIRE_DEV void wait_for_keys() const {
    mbarrier_wait(mbarrier_at(kKeysFull + keys_at.slot), keys_at.phase);
  }
  QUIRE_DEV void wait_for_values() const {
    mbarrier_wait(mbarrier_at(kValuesFull + values_at.slot), values_at.phase);
  }
  QUIRE_DEV void free_keys() {
    count_warp(kKeysFree + keys_at.slot);
    keys_at.advance(kSlots);
  }
  QUIRE_DEV void free_values() {
    count_warp(kValuesFree + values_at.slot);
    values_at.advance(kSlots);
  }
};
// Of the four producer warps two copy keys and two copy values. Each copies every other page.
QUIRE_DEV int producer_half() { return warp_idx() % 2; }
QUIRE_DEV bool fills_values() { return warp_idx() >= kWarps + kProducerWarps / 2; }

// f(first, width) for each strip of rows of `num_chunks`.
template <class F>
QUIRE_DEV void each_strip(int num_chunks, const F& f) {
  int first = 0;
  for (; first + kRowChunks <= num_chunks; first += kRowChunks) f(first, kRowChunks);
#pragma unroll
  for (int width = kRowChunks / 2; width > 0; width /= 2) {
    if ((num_chunks & width) == 0) continue;
    f(first, width);
    first += width;
  }
}

// Writes zeros to this warp's half of rows [begin, end) of the tile at `to`.
template <int max_keys>
QUIRE_DEV void zero_rows(char* to, int num_chunks, int begin, int end) {
  each_strip(num_chunks, [&](int first, int width) {
    char* rows = to + (first * max_keys + begin * width) * 16;
    for (int i = producer_half() * kLaneCount + lane_idx(); i < (end - begin) * width; i += 2 * kLaneCount) {
      store_64(rows + i * 16, 0, 0);
      store_64(rows + i * 16 + 8, 0, 0);
    }
  });
}

// The part of a tile that a producer warp copies: keys [begin, end), or their values.
template <class E>
struct TilePart {
  const KvView<KvTypes<E, E>, NativePage>& view;
  int chunks;      // of a row
  int begin, end;  // keys
  char* to;        // [strips][max_keys][width chunks]
  int barrier;     // of enum Barrier: signals that the part is there
  long base;       // in a page, elements
};

// By bulk copies, one for each strip of a page; each lane has one page.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void fill_by_pages(KvStage<KvTypes<E, E>, max_rows, max_keys>& stage, const TilePart<E>& part) {
  const KvView<KvTypes<E, E>, NativePage>& view = part.view;
  const int page_size = view.page.page_size,
            page = stage.pages.of(part.begin) + 2 * lane_idx() + producer_half();
  const int first = page * page_size;
  const int begin = first > part.begin ? first : part.begin,
            end = first + page_size < part.end ? first + page_size : part.end;
  const int rows = end > begin ? end - begin : 0;
  const int number = rows == 0 ? 0 : page == stage.ahead_page ? stage.ahead_number : view.page_table[page];
  wait_for_earlier_launches();
  if (rows > 0) {
    mbarrier_expect(mbarrier_at(part.barrier), rows * part.chunks * 16);
    const E* from = view.pool + number * view.page_stride + part.base;
    each_strip(part.chunks, [&](int chunk, int width) {
      copy_bulk(part.to + (chunk * max_keys + (begin - stage.first_key) * width) * 16,
                from + (chunk * page_size + (begin - first) * width) * kChunkElems<E>, rows * width * 16,
                mbarrier_at(part.barrier));
    });
  }
  count_warp(part.barrier);
  const int next_key = stage.first_key + max_keys,
            next_page = stage.pages.of(next_key) + 2 * lane_idx() + producer_half();
  const bool is_needed = next_page * page_size < view.end_key && next_page * page_size < next_key + max_keys;
  stage.ahead_page = is_needed ? next_page : -1;
  if (is_needed) stage.ahead_number = view.page_table[next_page];
}

// Chunk by chunk, for pages whose rows of `page_chunks` have another swizzle or other strips than those of
// the tile. Elements that do not exist become zero.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void fill_by_chunks(const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage,
                              const TilePart<E>& part, int page_chunks) {
  constexpr int kRowsAtOnce = kLaneCount / kRowChunks;
  wait_for_earlier_launches();
#pragma unroll 1
  for (int row = producer_half() * kRowsAtOnce + lane_idx() / kRowChunks; row < max_keys;
       row += 2 * kRowsAtOnce) {
    const PagedToken<E> at = find_token(part.view, stage.pages, stage.first_key + row, part.begin, part.end);
#pragma unroll 1
    for (int chunk = lane_idx() % kRowChunks; chunk < part.chunks; chunk += kRowChunks) {
      const bool is_there = at.token >= 0 && chunk < page_chunks;
      const long from =
          is_there
              ? strip_of(page_chunks, chunk).place(part.view.page.page_size, at.token, chunk) * kChunkElems<E>
              : 0;
      copy_async_16(part.to + strip_of(part.chunks, chunk).place(max_keys, row, chunk) * 16,
                    at.page + part.base + from, is_there);
    }
  }
  copy_async_wait_all();
  shared_memory_fence();
  count_warp(part.barrier);
}

// Producer warps wait until the next slots are free and start copying keys and values [begin, end) of a tile
// to them; consumers only note where the tile begins. The rest of the tile is zero, except that keys for many
// rows are left undefined, since their scores are masked. Heads that are smaller than those that the kernel
// was compiled for, and pages whose size is not a multiple of 8 tokens, are copied chunk by chunk.
template <class E, int max_rows, int max_keys>
QUIRE_DEV void load_pages(KvStage<KvTypes<E, E>, max_rows, max_keys>& stage,
                          const KvView<KvTypes<E, E>, NativePage>& view, int begin, int end) {
  const NativePage& layout = view.page;
  stage.first_key = begin / max_keys * max_keys;
  if (!is_producer()) return;
  if (stage.pages.size != layout.page_size) stage.pages = PageIndex(layout.page_size);
  const bool is_values = fills_values();
  const int slot = stage.keys_at.slot, chunks = is_values ? stage.v_chunks : stage.k_chunks;
  const int page_chunks =
      kExactHeads ? chunks : (is_values ? layout.stored_v_dim() : layout.stored_k_dim()) / kChunkElems<E>;
  const TilePart<E> part{view,
                         chunks,
                         begin,
                         end,
                         stage.key_rows() + (is_values ? stage.key_bytes : 0),
                         (is_values ? kValuesFull : kKeysFull) + slot,
                         is_values ? view.v_base : view.k_base};
  mbarrier_wait(mbarrier_at((is_values ? kValuesFree : kKeysFree) + slot), stage.keys_at.phase ^ 1);
  if (layout.page_size % 8 != 0 || page_chunks != chunks) {
    fill_by_chunks(stage, part, page_chunks);
  } else {
    if (end - begin < max_keys && (is_values || max_rows == kFewRows)) {
      zero_rows<max_keys>(part.to, chunks, 0, begin - stage.first_key);
      zero_rows<max_keys>(part.to, chunks, end - stage.first_key, max_keys);
      shared_memory_fence();
    }
    fill_by_pages(stage, part);
  }
  stage.keys_at.advance(stage.kSlots);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
