// Products of many rows by warpgroups (sm_90a), and their pipeline. Programs of 8 warps; 16-bit elements; head sizes up to 128. Everything else takes the other path (stages.h, pipeline.h).
#pragma once

#include "tile/target_cuda/stages.h"

namespace quire {
namespace QUIRE_TARGET {

// scores = q K^T, issued as one group of products.
template <class E, int max_k, int max_keys>
QUIRE_DEV void issue_scores(Scores<kManyRows, max_keys>& scores, const Operand<E, kManyRows, max_k>& q,
                            const KvStage<E, kManyRows, max_keys>& stage) {
  static_assert(max_keys == 128, "one product is 128 keys wide");
  pin_all(scores.x);
  warpgroup_fence();
  const unsigned long long rows = matrix_descriptor(q.base + warp_idx() / 4 * 64 * 128, 0), keys = matrix_descriptor(stage.k, 0);
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
                            const KvStage<E, kManyRows, max_keys>& stage) {
  constexpr int kPanelBytes = max_keys * 128;
  pin_all(probs.packed);
  pin_all(out.x);
  warpgroup_fence();
  const unsigned long long values = matrix_descriptor(stage.v, kPanelBytes);
#pragma unroll
  for (int step = 0; step < max_keys / 16; ++step) {
    multiply_columns(E{}, out.x, probs.packed[step], values + (step * 16 * 128 >> 4), true);
  }
  warpgroup_commit();
}

// Each round issues the next tile's scores and this tile's product with V together, and computes the next softmax beside the
// latter. No product is under way between two rounds: the compiler would move its registers, and wait for each product.
template <class Stage, class Load, class Compute>
QUIRE_DEV void run_warpgroups(int num_tiles, Stage& stage, const Load& load, const Compute& compute) {
  using Elem = typename Stage::Elem;
  constexpr int kAhead = Stage::kStages - 1;
  auto& scores = compute.scores;
  const auto bring = [&](int tile) {
    if (tile < num_tiles) {
      stage.select(tile);
      load(stage, tile);
    }
    copy_async_commit();
  };
  const auto arrive = [&](int tile) {  // what has been waited for is visible to all threads and their matrix units
    stage.wait_for_bulk(tile);
    shared_memory_fence();
    block_barrier();
  };
  for (int tile = 0; tile < kAhead; ++tile) {
    bring(tile);
    if (tile == 0) stage.set_origin();
  }
  if (num_tiles > 0) {
    copy_async_wait<kAhead - 1>();
    arrive(0);
    stage.select(0);
    compute.score(scores, stage, 0);
    warpgroup_wait<0>();
    pin_all(scores.x);
    compute.update(scores, stage, 0);
    pack<Elem>(scores);
    for (int tile = 0; tile + 1 < num_tiles; ++tile) {
      copy_async_wait<kAhead - 2>();
      arrive(tile + 1);
      stage.select(tile + 1);
      compute.score(scores, stage, tile + 1);
      stage.select(tile);
      compute.accumulate(scores, stage, tile);
      bring(tile + kAhead);  // while the matrix units work
      warpgroup_wait<1>();  // the next scores; the product with V runs on until `update` scales the sums
      pin_all(scores.x);
      stage.select(tile + 1);
      compute.update(scores, stage, tile + 1);
      pack<Elem>(scores);
    }
    stage.select(num_tiles - 1);
    compute.accumulate(scores, stage, num_tiles - 1);
    warpgroup_wait<0>();
  }
  copy_async_wait<0>();
  block_barrier();  // the ring's memory is free
}

}  // namespace QUIRE_TARGET
}  // namespace quire
