#include "targets/jit/jit_attention.h"

#include <algorithm>
#include <iterator>

#include "kernels/params.h"

namespace quire {

static_assert(kHeadDimBounds[std::size(kHeadDimBounds) - 1] == kMaxHeadShape.qk,
              "the largest heads have a kernel");

JitAttention::JitAttention(const TileRules& rules, int num_units, int max_programs)
    : rules_(rules),
      num_units_(num_units),
      max_programs_(max_programs),
      store_(ConfigRules{[&rules](const AttentionClass& problem) { return rules.heuristics(problem); },
                         [&rules](const AttentionClass& problem, const AttentionTuning& config) {
                           return rules.why_illegal(problem, config.tiles);
                         }}) {}

int JitAttention::programs_at_once(int blocks_per_unit) const {
  const int all = num_units_ * blocks_per_unit;
  return max_programs_ > 0 ? std::min(max_programs_, all) : all;
}

KernelAbilities JitAttention::abilities() const {
  KernelAbilities abilities;
  abilities.mods = kAllScoreMods;
  std::fill(std::begin(abilities.dtypes), std::end(abilities.dtypes), true);
  abilities.max_heads = kMaxHeadShape;
  return abilities;
}

AttentionTuning JitAttention::tuning_of(const AttentionClass& problem) const {
  AttentionTuning config = store_.of(problem);
  // If there is no form for few rows, prefill's kernel runs all batches.
  if (config.tiles.few_keys == 0)
    config.tiles = store_.of({problem.dtype, problem.head_dim, BatchKind::kPrefill}).tiles;
  return config;
}

BatchKindCaps JitAttention::caps(const AttentionClass& problem) const {
  const AttentionTuning config = tuning_of(problem);
  const AttentionTiles& t = config.tiles;
  BatchKindCaps caps;
  caps.num_programs = programs_at_once(t.blocks_per_sm);
  caps.rows = many_rows(t);
  caps.few_rows = t.few_keys > 0 ? kFewRows : 0;
  caps.invariant_rows = kFewRows;  // every number of rows uses the arithmetic of few rows
  caps.keys = std::max(t.keys, t.few_keys);
  caps.split_policy = config.split_policy;
  caps.source = store_.source_of(problem);
  return caps;
}

}  // namespace quire
