// `pipeline` on the cuda target: asynchronous copies fill a ring of stages ahead of the warps that compute.
#pragma once

#include "targets/cuda/tile/stages.h"
#include "tile/lanes/rings.h"
#if QUIRE_PRODUCER
#include "targets/cuda/tile/warpgroup.h"
#endif

namespace quire {
namespace QUIRE_TARGET {

// scores = q K^T; column i is key stage.first_key + i.
template <class E, int max_rows, int max_k, int max_keys>
QUIRE_DEV void dot(Scores<max_rows, max_keys>& scores, const Operand<E, max_rows, max_k>& q,
                   const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage) {
  scores.rows = q.rows;
  if constexpr (uses_warpgroups<E>(max_rows)) {
    issue_scores(scores, q, stage);
  } else {
    multiply_keys(scores, q, stage);
  }
}

// out += probs V. The probabilities are rounded to E first.
template <class E, int max_rows, int max_keys, int max_out>
QUIRE_DEV void dot_add(Accum<max_rows, max_out>& out, Scores<max_rows, max_keys>& probs,
                       const KvStage<KvTypes<E, E>, max_rows, max_keys>& stage) {
  if constexpr (uses_warpgroups<E>(max_rows)) {
    issue_values(out, probs, stage);
  } else {
    multiply_values(out, probs, stage);
  }
}

template <class Scores, class Score, class Update, class Accumulate>
struct Compute {
  Scores& scores;
  const Score& score;
  const Update& update;
  const Accumulate& accumulate;
};

template <class Stage, class Scores, class Loads, class Score, class Update, class Accumulate>
QUIRE_DEV void pipeline(Program& program, int num_tiles, Stage& stage, Scores& scores, const Loads& loads,
                        const Score& score, const Update& update, const Accumulate& accumulate) {
#if QUIRE_PRODUCER
  run_roles(program, num_tiles, stage, loads,
            Compute<Scores, Score, Update, Accumulate>{scores, score, update, accumulate});
#else
  loads.operand();
  run_ring(num_tiles, stage, loads.tile, [&](const auto& current, int tile) {
    score(scores, current, tile);
    update(scores, current, tile);
    accumulate(scores, current, tile);
  });
#endif
}

}  // namespace QUIRE_TARGET
}  // namespace quire
