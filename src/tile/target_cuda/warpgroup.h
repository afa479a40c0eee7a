// Products of many rows by warpgroups (sm_90a), and their pipeline: 8 warps compute, and a third warpgroup, the producer, fills a ring of tiles of keys and values by bulk copies. 16-bit elements; head sizes up to 128. Everything else takes the other path (stages.h, pipeline.h).
#pragma once

#include "tile/target_cuda/stages.h"

namespace quire {
namespace QUIRE_TARGET {

// Keys and values have slots of their own, as keys are done with earlier. For the producer `keys_at` is the tile it fills next.
template <class E, int max_keys>
struct WarpgroupStage {
  using Elem = E;
  static constexpr int kSlots = QUIRE_RING_KEYS / max_keys;
  Program& program;
  int part_bytes;  // of one tile's keys; as many of its values
  char* base;      // [kSlots][keys, values]
  RingPlace keys_at, values_at;
  int first_key = 0, num_keys = max_keys;
  PageIndex pages{1};                     // this and what follows is the producer's
  int ahead_page = -1, ahead_number = 0;  // a page of the next tile for each lane, and its number

  // `head_dim` bounds both head sizes.
  QUIRE_DEV WarpgroupStage(Program& p, int head_dim)
      : program(p), part_bytes(panels_of<E>(head_dim) * max_keys * 128), base(p.take(kSlots * 2 * part_bytes)), keys_at(p.ring), values_at(p.ring) {}

  QUIRE_DEV char* keys() const { return base + keys_at.slot * 2 * part_bytes; }
  QUIRE_DEV char* values() const { return base + (values_at.slot * 2 + 1) * part_bytes; }

  QUIRE_DEV void wait_for_keys() const { arrival_wait(arrival_word(kKeysFull + keys_at.slot), keys_at.phase); }
  QUIRE_DEV void wait_for_values() const { arrival_wait(arrival_word(kValuesFull + values_at.slot), values_at.phase); }
  QUIRE_DEV void free_keys() {
    if (lane_idx() == 0) arrival_count(arrival_word(kKeysFree + keys_at.slot));
    keys_at.advance(kSlots);
  }
  QUIRE_DEV void free_values() {
    if (lane_idx() == 0) arrival_count(arrival_word(kValuesFree + values_at.slot));
    values_at.advance(kSlots);
  }
};
#if QUIRE_WARPGROUPS
template <int max_keys>
struct KvStage<bf16, kManyRows, max_keys> : WarpgroupStage<bf16, max_keys> {
  using WarpgroupStage<bf16, max_keys>::WarpgroupStage;
};
template <int max_keys>
struct KvStage<f16, kManyRows, max_keys> : WarpgroupStage<f16, max_keys> {
  using WarpgroupStage<f16, max_keys>::WarpgroupStage;
};

// Of the producer's four warps two fill keys and two values, each every other page.
QUIRE_DEV int producer_half() { return warp_idx() % 2; }
QUIRE_DEV bool produces_values() { return warp_idx() / 2 % 2 != 0; }

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
  const KvView<E>& view;
  int panels;      // that pages have
  int begin, end;  // keys
  char* to;        // [panels][max_keys] rows of 128 bytes
  char* arrival;
};

// By the copy engine: a page for each lane.
template <class E, int max_keys>
QUIRE_DEV void fill_by_pages(WarpgroupStage<E, max_keys>& stage, const TilePart<E>& part) {
  const KvView<E>& view = part.view;
  const int page_size = view.shape.page_size, page = stage.pages.of(part.begin) + 2 * lane_idx() + producer_half();
  const int first = page * page_size;
  const int begin = first > part.begin ? first : part.begin, end = first + page_size < part.end ? first + page_size : part.end;
  const int rows = end > begin ? end - begin : 0;
  if (rows > 0) {
    arrival_announce(part.arrival, rows * part.panels * 128);
    const int number = page == stage.ahead_page ? stage.ahead_number : view.page_table[page];
    const E* from = view.pool + number * view.page_stride + (produces_values() ? view.v_base : view.k_base) + (begin - first) * 64;
    char* to = part.to + (begin - stage.first_key) * 128;
    for (int panel = 0; panel < part.panels; ++panel) {
      copy_bulk(to + panel * max_keys * 128, from + panel * page_size * 64, rows * 128, part.arrival);
    }
  }
  warp_barrier();
  if (lane_idx() == 0) arrival_count(part.arrival);
  const int next_key = stage.first_key + max_keys, next_page = stage.pages.of(next_key) + 2 * lane_idx() + producer_half();
  const bool is_needed = next_page * page_size < view.end_key && next_page * page_size < next_key + max_keys;
  stage.ahead_page = is_needed ? next_page : -1;
  if (is_needed) stage.ahead_number = view.page_table[next_page];
}

// Chunk by chunk, where rows of a page and of the tile have different swizzles.
template <class E, int max_keys>
QUIRE_DEV void fill_by_chunks(const WarpgroupStage<E, max_keys>& stage, const TilePart<E>& part) {
  const KvView<E>& view = part.view;
  const Chunks tile{part.to, max_keys};
  const int rows_at_once = kLaneCount / kRowChunks;
  for (int row = producer_half() * rows_at_once + lane_idx() / kRowChunks; row < max_keys; row += 2 * rows_at_once) {
    const int key = stage.first_key + row, chunk = lane_idx() % kRowChunks;
    const bool is_there = key >= part.begin && key < part.end;
    const int page = is_there ? stage.pages.of(key) : 0, token = key - page * view.shape.page_size;
    const E* from = view.pool + (is_there ? view.page_table[page] * view.page_stride : 0) + (produces_values() ? view.v_base : view.k_base);
    for (int panel = 0; panel < part.panels; ++panel) {
      const long place = (long{panel * view.shape.page_size + token} * kRowChunks + ((chunk ^ token) % kRowChunks)) * kChunkElems<E>;
      copy_async_16(tile.at(row, panel * kRowChunks + chunk), is_there ? from + place : from, is_there);
    }
  }
  copy_async_wait_all();
  shared_memory_fence();
  warp_barrier();
  if (lane_idx() == 0) arrival_count(part.arrival);
}

// Keys [begin, end) of a tile into the next slots, when they are free. Keys of the tile outside of that are whatever was there, their values
// zero. Computing warps only learn where the tile begins.
template <class E, int max_keys>
QUIRE_DEV void produce(WarpgroupStage<E, max_keys>& stage, const KvView<E>& view, int begin, int end) {
  stage.first_key = begin / max_keys * max_keys;
  if (!is_producer()) return;
  const PageShape& shape = view.shape;
  if (stage.pages.size != shape.page_size) stage.pages = PageIndex(shape.page_size);
  const bool is_values = produces_values();
  const int slot = stage.keys_at.slot, max_panels = stage.part_bytes / (max_keys * 128);
  const TilePart<E> part{view, kExactHeads ? max_panels : panels_of<E>(is_values ? shape.head_dim_vo : shape.head_dim_qk), begin, end,
                         stage.keys() + (is_values ? stage.part_bytes : 0),
                         arrival_word((is_values ? kValuesFull : kKeysFull) + slot)};
  arrival_wait(arrival_word((is_values ? kValuesFree : kKeysFree) + slot), stage.keys_at.phase ^ 1);
  const bool is_partial = is_values && end - begin < max_keys;
  if (is_partial) {
    zero_rows(part.to, part.panels, max_keys, 0, begin - stage.first_key);
    zero_rows(part.to, part.panels, max_keys, end - stage.first_key, max_keys);
  }
  if (!kExactHeads) zero_rows(part.to + part.panels * max_keys * 128, max_panels - part.panels, max_keys, 0, max_keys);
  if (is_partial || !kExactHeads) shared_memory_fence();
  if (shape.page_size % 8 == 0) {
    fill_by_pages(stage, part);
  } else {
    fill_by_chunks(stage, part);
  }
  stage.keys_at.advance(stage.kSlots);
}
#endif

// scores = q K^T, issued as one group of products.
template <class E, int max_k, int max_keys>
QUIRE_DEV void issue_scores(Scores<kManyRows, max_keys>& scores, const Operand<E, kManyRows, max_k>& q,
                            const WarpgroupStage<E, max_keys>& stage) {
  static_assert(max_keys == 128, "one product is 128 keys wide");
  pin_all(scores.x);
  warpgroup_fence();
  const unsigned long long rows = matrix_descriptor(q.base + warp_idx() / 4 * 64 * 128, 0), keys = matrix_descriptor(stage.keys(), 0);
#pragma unroll
  for (int step = 0; step < max_k / 16; ++step) {
    const int row_bytes = step / 4 * kManyRows * 128 + step % 4 * 32, key_bytes = step / 4 * max_keys * 128 + step % 4 * 32;
    multiply_rows(E{}, scores.x, rows + (row_bytes >> 4), keys + (key_bytes >> 4), step > 0);
  }
  warpgroup_commit();
}

// The probabilities, rounded, as left operand of the product with V.
template <class E, int max_keys>
QUIRE_DEV void pack(Scores<kManyRows, max_keys>& probs) {
#pragma unroll
  for (int step = 0; step < max_keys / 16; ++step) pack_left<E>(probs.packed[step], probs.x, step);
}

// out += probs V, issued as one group.
template <class E, int max_keys, int max_out>
QUIRE_DEV void issue_values(Accum<kManyRows, max_out>& out, Scores<kManyRows, max_keys>& probs,
                            const WarpgroupStage<E, max_keys>& stage) {
  constexpr int kPanelBytes = max_keys * 128;
  pin_all(probs.packed);
  pin_all(out.x);
  warpgroup_fence();
  const unsigned long long values = matrix_descriptor(stage.values(), kPanelBytes);
#pragma unroll
  for (int step = 0; step < max_keys / 16; ++step) {
    multiply_columns(E{}, out.x, probs.packed[step], values + (step * 16 * 128 >> 4), true);
  }
  warpgroup_commit();
}

QUIRE_DEV void free_left() {
  if (lane_idx() == 0) arrival_count(arrival_word(kLeftFree));
}

// Each round issues the next tile's scores and this tile's product with V together, and computes the next softmax beside the
// latter and beside the other warpgroup's products. No product is under way between two rounds: the compiler would move its registers,
// and wait for each product.
template <class Stage, class Compute>
QUIRE_DEV void consume(int num_tiles, Stage& stage, const Compute& compute) {
  using Elem = typename Stage::Elem;
  auto& scores = compute.scores;
  const int origin = stage.first_key;
  const auto take_scores = [&](int tile) {
    pin_all(scores.x);
    stage.free_keys();
    stage.first_key = origin + tile * stage.num_keys;
    compute.update(scores, stage, tile);
    warpgroup_wait<0>();
    if (tile > 0) stage.free_values();
    pack<Elem>(scores);
  };
  stage.wait_for_keys();
  compute.score(scores, stage, 0);
  warpgroup_wait<0>();
  take_scores(0);
  for (int tile = 0; tile + 1 < num_tiles; ++tile) {
    stage.wait_for_keys();
    wait_for_turn();
    compute.score(scores, stage, tile + 1);
    stage.wait_for_values();
    compute.accumulate(scores, stage, tile);
    pass_turn();
    warpgroup_wait<1>();  // the next scores; the product with V runs on until `update` scales the sums
    take_scores(tile + 1);
  }
  free_left();
  stage.wait_for_values();
  compute.accumulate(scores, stage, num_tiles - 1);
  warpgroup_wait<0>();
  stage.free_values();
}

template <class Stage, class Load, class Compute>
QUIRE_DEV void run_warpgroups(Program& program, int num_tiles, Stage& stage, const Load& load, const Compute& compute) {
  if (is_producer()) {
    if (num_tiles > 0) load(stage, 0);
    copy_async_wait_all();  // the left operand
    shared_memory_fence();
    warp_barrier();
    if (lane_idx() == 0) arrival_count(arrival_word(kLeftFull));
    for (int tile = 1; tile < num_tiles; ++tile) load(stage, tile);
  } else {
    arrival_wait(arrival_word(kLeftFull), program.left_phase);
    if (num_tiles > 0) {
      load(stage, 0);
      consume(num_tiles, stage, compute);
    } else {
      free_left();
    }
  }
  program.left_phase ^= 1;
  program.ring = stage.keys_at;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
