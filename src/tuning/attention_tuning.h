// What can be tuned of attention on a device, and for which problems: plain values.
#pragma once

#include <cstdint>
#include <string>

#include "base/dtype.h"
#include "base/formats.h"

namespace quire {

// Batches by their blocks of rows (query tokens times the query heads that share a KV head): all have few
// rows, all have many, or some of each.
enum class BatchKind : std::uint8_t { kDecode, kPrefill, kMixed };
constexpr int kNumBatchKinds = 3;
constexpr BatchKind kBatchKinds[] = {BatchKind::kDecode, BatchKind::kPrefill, BatchKind::kMixed};
const char* to_string(BatchKind kind);  // "decode"

// Elements of the larger one of both head sizes, qk and vo: what tiles are chosen for, and most kernels are
// compiled for.
constexpr int kHeadDimBounds[] = {64, 128, 192, 256, 576};

// The smallest bound that holds heads of `head_dim` elements, at most the last one.
int head_dim_bound(int head_dim);

// The head sizes that a kernel of this bound takes at most.
HeadShape heads_of_bound(int bound);

// Problems that one configuration serves.
struct AttentionClass {
  DType dtype = DType::kBF16;
  int head_dim = 128;  // one of kHeadDimBounds
  BatchKind kind = BatchKind::kDecode;
  bool operator==(const AttentionClass&) const = default;
};
std::string to_string(const AttentionClass& problem);  // "bf16 d128 decode"

// Tiles of a kernel that is compiled at run time. All zero where kernels are compiled with the program.
struct AttentionTiles {
  int num_warps = 0;           // that compute; 16 rows each where there are many rows
  int keys = 0;                // of a tile of many rows
  int few_keys = 0;            // of a tile of few rows; 0: few rows have no form of their own
  int ring_keys = 0;           // keys that are on their way or in use at a time; a multiple of both
  int blocks_per_sm = 0;       // programs on one multiprocessor
  int producer_registers = 0;  // of a thread of the warps that only load; 0: there are none
  bool operator==(const AttentionTiles&) const = default;
};
std::string to_string(
    const AttentionTiles& tiles);  // "8 warps + producer 40, 128/128 keys, ring 384, 1 block"

// How the planner cuts a batch into items.
struct SplitPolicy {
  int min_split_tiles = 2;  // tiles; a shorter part is not worth its merge
  int key_cost_rows = 8;    // reading a key takes as long as computing it for so many rows
  int item_cost_tiles =
      0;  // tiles that starting an item costs; 0: so little that a queue of small items is best
  int merge_cost_tiles = 0;  // tiles that one more part of attention_rows rows costs to write and to merge
  bool operator==(const SplitPolicy&) const = default;
};
std::string to_string(const SplitPolicy& policy);  // "split 1/128/2/3", in the order of the fields

// In batch-invariant mode keys are split at multiples of this, whatever the batch; a multiple of every
// target's key tile.
constexpr int kInvariantSplitKeys = 4096;

struct AttentionTuning {
  AttentionTiles tiles;
  SplitPolicy split_policy;
  bool operator==(const AttentionTuning&) const = default;
};

}  // namespace quire
