// The pipeline of programs with producer warps, and attention's products by warpgroups (sm_90a): two
// warpgroups are consumers, which compute, and a third one is the producer, which fills a ring of tiles of
// keys and values by bulk copies. For 16-bit elements and head sizes up to 128; other kernels use stages.h
// and pipeline.h only.
#pragma once

#include "targets/cuda/tile/stages.h"

namespace quire {
namespace QUIRE_TARGET {

// scores = q K^T, issued as one group of products.
template <class E, int max_k, int max_keys>
QUIRE_DEV void issue_scores(Scores<kManyRows, max_keys>& scores, const Operand<E, kManyRows, max_k>& q,
                            const KvStage<KvTypes<E, E>, kManyRows, max_keys>& stage) {
  static_assert(max_keys == 128, "one product is 128 keys wide");
  pin_all(scores.x);
  warpgroup_fence();
  constexpr int kChunks = max_k / kChunkElems<E>;
  static_assert(kChunks * kChunkElems<E> == max_k, "whole chunks");
  const unsigned long long rows = matrix_descriptor(q.base + warp_idx() / 4 * 64 * 128, kRowChunks, 0);
#pragma unroll
  for (int step = 0; step < ceil_div(kChunks, 2); ++step) {
    const ColumnStrip strip = strip_of(kChunks, 2 * step);
    // A strip of a single chunk has only half of a step's elements of k. The other half reads the same chunk
    // again (leading offset 0), where q has zeros.
    const unsigned long long keys = matrix_descriptor(stage.key_rows(), strip.width, 0);
    const int row_bytes = step / 4 * kManyRows * 128 + step % 4 * 32;
    const int key_chunk = strip.first * max_keys + 2 * step - strip.first;
    multiply_rows(E{}, scores.x, rows + (row_bytes >> 4), keys + key_chunk, step > 0);
  }
  warpgroup_commit();
}

// Rounds the probabilities and packs them as left operand of the product with V.
template <class E, int max_keys>
QUIRE_DEV void pack(Scores<kManyRows, max_keys>& probs) {
#pragma unroll
  for (int step = 0; step < max_keys / 16; ++step) pack_left<E>(probs.packed[step], probs.x, step);
}

// Adds probs times the `num` chunks of values from chunk `first` on, which are one narrow strip or several of
// 8 chunks, to the blocks of `out` that these columns are in.
template <int first, int num, class E, int max_keys, int num_blocks>
QUIRE_DEV void issue_strip(float (&out)[num_blocks][4], const unsigned (&probs)[max_keys / 16][4],
                           const char* values) {
  constexpr int kWidth = num < kRowChunks ? num : kRowChunks;
  constexpr int kLeadingBytes = kWidth > 1 ? max_keys * kWidth * 16 : 128;
  const unsigned long long columns = matrix_descriptor(values + first * max_keys * 16, kWidth, kLeadingBytes);
  float(&sums)[num][4] = *reinterpret_cast<float(*)[num][4]>(&out[first]);
#pragma unroll
  for (int step = 0; step < max_keys / 16; ++step) {
    multiply_columns(E{}, sums, probs[step], columns + step * 16 * kWidth, true);
  }
}

// out += probs V, issued as one group of products.
template <class E, int max_keys, int max_out>
QUIRE_DEV void issue_values(Accum<kManyRows, max_out>& out, Scores<kManyRows, max_keys>& probs,
                            const KvStage<KvTypes<E, E>, kManyRows, max_keys>& stage) {
  constexpr int kChunks = max_out / kChunkElems<E>, kWhole = kChunks / kRowChunks * kRowChunks;
  constexpr int kHalf = kChunks & 4, kQuarter = kChunks & 2, kLast = kChunks & 1;
  static_assert(kChunks * kChunkElems<E> == max_out, "whole chunks");
  pin_all(probs.packed);
  pin_all(out.x);
  warpgroup_fence();
  const char* values = stage.value_rows();
  if constexpr (kWhole > 0) issue_strip<0, kWhole, E, max_keys>(out.x, probs.packed, values);
  if constexpr (kHalf > 0) issue_strip<kWhole, kHalf, E, max_keys>(out.x, probs.packed, values);
  if constexpr (kQuarter > 0) issue_strip<kWhole + kHalf, kQuarter, E, max_keys>(out.x, probs.packed, values);
  if constexpr (kLast > 0) issue_strip<kChunks - kLast, kLast, E, max_keys>(out.x, probs.packed, values);
  warpgroup_commit();
}

// The consumers' loop for many rows. A round issues the scores of its tile together with the product with V
// of the tile before, waits for the scores, and computes their softmax while the product with V, and products
// of the other warpgroup, are in flight. No product is in flight from one round to the next: the compiler
// would move its registers and wait for every single product. The loop is not peeled, because more code costs
// instruction fetches.
template <class Stage, class Compute>
QUIRE_DEV void consume(int num_tiles, Stage& stage, const Compute& compute) {
  using Elem = typename Stage::Elem;
  auto& scores = compute.scores;
  if (num_tiles == 0) return count_warp(kLeftFree);
  const int origin = stage.first_key;
  for (int tile = 0; tile < num_tiles; ++tile) {
    stage.wait_for_keys();
    compute.score(scores, stage, tile);
    if (tile > 0) {
      stage.wait_for_values();
      compute.accumulate(scores, stage, tile - 1);
      warpgroup_wait<1>();  // the scores; the product with V runs on until `update` scales the sums
    } else {
      warpgroup_wait<0>();
    }
    pin_all(scores.x);
    stage.free_keys();
    if (tile + 1 == num_tiles) count_warp(kLeftFree);
    stage.first_key = origin + tile * stage.num_keys;
    compute.update(scores, stage, tile);
    warpgroup_wait<0>();
    if (tile > 0) stage.free_values();
    pack<Elem>(scores);
  }
  stage.wait_for_values();
  compute.accumulate(scores, stage, num_tiles - 1);
  warpgroup_wait<0>();
  stage.free_values();
}

// The consumers' loop for few rows: each warp multiplies keys of its own of each tile and waits for no other.
template <class Stage, class Compute>
QUIRE_DEV void consume_by_warps(int num_tiles, Stage& stage, const Compute& compute) {
  const int origin = stage.first_key;
  for (int tile = 0; tile < num_tiles; ++tile) {
    stage.first_key = origin + tile * stage.num_keys;
    stage.wait_for_keys();
    compute.score(compute.scores, stage, tile);
    compute.update(compute.scores, stage, tile);
    stage.free_keys();
    stage.wait_for_values();
    compute.accumulate(compute.scores, stage, tile);
    stage.free_values();
  }
}

// The producer's loop for one item. It copies the first tile before it waits for the memory of the left
// operand, which the consumers may still need for the item before, and starts copying the second tile before
// the left operand has arrived.
template <class Stage, class Loads>
QUIRE_DEV void produce(int num_tiles, Stage& stage, const Loads& loads) {
  constexpr bool kCopiesOperand = Stage::kMaxRows == kManyRows;
  for (int tile = 0; (kCopiesOperand && tile == 0) || tile < num_tiles; ++tile) {
    if (tile < num_tiles) loads.tile(stage, tile);
    if (kCopiesOperand && tile == 0) {
      wait_for_earlier_launches();
      loads.operand();
    }
    if (!kCopiesOperand || tile != (num_tiles > 1 ? 1 : 0)) continue;
    copy_async_wait_all();
    shared_memory_fence();
    count_warp(kLeftFull);
  }
}

template <class Stage, class Loads, class Compute>
QUIRE_DEV void run_roles(Program& program, int num_tiles, Stage& stage, const Loads& loads,
                         const Compute& compute) {
  if (is_producer()) {
    produce(num_tiles, stage, loads);
  } else {
    wait_for_earlier_launches();
    loads.operand();
    if constexpr (Stage::kMaxRows == kFewRows) {
      copy_async_wait_all();
      consumer_barrier();
      if (num_tiles > 0) loads.tile(stage, 0);
      consume_by_warps(num_tiles, stage, compute);
    } else {
      if (program.was_of_few) count_warp(kFewDone);
      mbarrier_wait(mbarrier_at(kLeftFull), program.left_phase);
      if (num_tiles > 0) loads.tile(stage, 0);
      consume(num_tiles, stage, compute);
    }
  }
  constexpr bool kIsOfFew = Stage::kMaxRows == kFewRows;
  if (!kIsOfFew) program.left_phase ^= 1;
  program.was_of_few = kIsOfFew;
  program.ring = stage.keys_at;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
