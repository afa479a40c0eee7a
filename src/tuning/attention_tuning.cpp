#include "tuning/attention_tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace quire {

const char* to_string(BatchKind kind) {
  return kind == BatchKind::kDecode ? "decode" : kind == BatchKind::kPrefill ? "prefill" : "mixed";
}

int head_dim_bound(int head_dim) {
  const int* bound = std::lower_bound(std::begin(kHeadDimBounds), std::end(kHeadDimBounds), head_dim);
  return bound == std::end(kHeadDimBounds) ? bound[-1] : *bound;
}

HeadShape heads_of_bound(int bound) {
  return {std::min(bound, kMaxHeadShape.qk), std::min(bound, kMaxHeadShape.vo)};
}

std::string to_string(const AttentionClass& problem) {
  return fmt::format("{} d{} {}", to_string(problem.dtype), problem.head_dim, to_string(problem.kind));
}

std::string to_string(const AttentionTiles& t) {
  if (t == AttentionTiles{}) return "compiled with the program";
  const std::string producer =
      t.producer_registers > 0 ? fmt::format(" + producer {}", t.producer_registers) : "";
  return fmt::format("{} warps{}, {}/{} keys, ring {}, {} block{}", t.num_warps, producer, t.keys, t.few_keys,
                     t.ring_keys, t.blocks_per_sm, t.blocks_per_sm == 1 ? "" : "s");
}

std::string to_string(const SplitPolicy& p) {
  return fmt::format("split {}/{}/{}/{}", p.min_split_tiles, p.key_cost_rows, p.item_cost_tiles,
                     p.merge_cost_tiles);
}

}  // namespace quire
