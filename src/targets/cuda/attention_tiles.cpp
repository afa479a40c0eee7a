#include "targets/cuda/attention_tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tile/ranges.h"

namespace quire {
namespace {

constexpr int kSystemBytes = 1024;   // of shared memory, reserved by the system for each block
constexpr int kMaxStages = 4;        // enum Barrier has mbarriers for as many slots
constexpr int kWarpgroupKeys = 128;  // columns of one warpgroup product
constexpr int kMaxBlocks = 2;
constexpr int kWideHeads = 256;  // from here on Q and tiles of keys fill shared memory
constexpr int kFewProducerRegisters = 88,
              kManyProducerRegisters = 72;  // with fewer the producer spills, for many rows
constexpr int kProducerRegisters[] = {24, 40, 56, 72, 88, 104};

bool has_warpgroups(const AttentionClass& problem, int sm) {
  return sm == 90 && problem.dtype != DType::kF32 && problem.head_dim <= 128;
}

// The shared memory of a multiprocessor, with what the system reserves, in bytes.
int shared_room(int sm) { return shared_limit(sm) + kSystemBytes; }

// The keys of a tile are a multiple of this, so that they are whole matrix steps.
int step_of(const AttentionClass& problem) { return problem.dtype == DType::kF32 ? 8 : 16; }
bool are_whole(const AttentionClass& problem, int num_warps, int keys) {
  return keys > 0 && keys % step_of(problem) == 0 && keys % (4 * num_warps) == 0;
}

// For kernels without a form for few rows: as many warps, and then as long tiles, as fit in shared memory
// beside Q.
AttentionTiles wide_tiles(const AttentionClass& problem, int sm) {
  for (const int num_warps : {4, 2}) {
    for (const int keys : {32, 16, 8}) {
      const AttentionTiles tiles{num_warps, keys, 0, 2 * keys, 1, 0};
      if (are_whole(problem, num_warps, keys) && tiles_bytes(problem, tiles) <= shared_limit(sm))
        return tiles;
    }
  }
  return {1, step_of(problem), 0, 2 * step_of(problem), 1, 0};
}

AttentionTiles heuristic_tiles(const AttentionClass& problem, int sm) {
  if (has_warpgroups(problem, sm)) {
    const int registers = problem.kind == BatchKind::kDecode ? kFewProducerRegisters : kManyProducerRegisters;
    return {8, kWarpgroupKeys, kWarpgroupKeys, 384, 1, registers};
  }
  if (problem.head_dim > kWideHeads) return wide_tiles(problem, sm);
  const int keys = problem.dtype == DType::kF32 ? 32 : 64;
  for (const int stages : {3, 2}) {
    const AttentionTiles tiles{4, keys, keys, stages * keys, 2, 0};
    if (problem.head_dim <= 128 && 2 * (tiles_bytes(problem, tiles) + kSystemBytes) <= shared_room(sm))
      return tiles;
  }
  for (const int stages : {3, 2}) {
    const AttentionTiles tiles{4, keys, keys, stages * keys, 1, 0};
    if (tiles_bytes(problem, tiles) <= shared_limit(sm)) return tiles;
  }
  return wide_tiles(problem, sm);
}

std::string why_illegal_warpgroups(const AttentionClass& problem, const AttentionTiles& t, int sm) {
  if (!has_warpgroups(problem, sm)) {
    return fmt::format(
        "a producer needs warpgroups: sm_90, 16-bit elements and heads of at most 128, "
        "not sm_{}, {} and {}",
        sm, to_string(problem.dtype), problem.head_dim);
  }
  if (t.num_warps != 8) return fmt::format("beside a producer 8 warps compute, not {}", t.num_warps);
  if (t.keys != kWarpgroupKeys || t.few_keys != kWarpgroupKeys) {
    return fmt::format("warpgroups take tiles of {} keys, not {} and {}", kWarpgroupKeys, t.keys, t.few_keys);
  }
  if (std::find(std::begin(kProducerRegisters), std::end(kProducerRegisters), t.producer_registers) ==
      std::end(kProducerRegisters)) {
    return fmt::format("a producer's thread has {} registers, not {}", fmt::join(kProducerRegisters, ", "),
                       t.producer_registers);
  }
  if (t.blocks_per_sm != 1)
    return fmt::format("one block with a producer fills a multiprocessor, not {}", t.blocks_per_sm);
  return {};
}

// For kernels without producer warps. The threads copy the rows of a tile in whole rounds, and each warp's
// own keys are whole matrix steps.
std::string why_illegal_warps(const AttentionClass& problem, const AttentionTiles& t, int sm) {
  const int step = step_of(problem);
  const bool has_few = heuristic_tiles(problem, sm).few_keys > 0;
  const bool is_half = !has_few && (t.num_warps == 1 || t.num_warps == 2);
  if (t.num_warps != 4 && t.num_warps != 8 && !is_half) {
    return fmt::format("{}4 or 8 warps compute, not {}", has_few ? "" : "1, 2, ", t.num_warps);
  }
  if (!are_whole(problem, t.num_warps, t.keys)) {
    return fmt::format("{} keys are no multiple of {}, which {} warps copy at a time, and of {}", t.keys,
                       4 * t.num_warps, t.num_warps, step);
  }
  if (has_few != (t.few_keys > 0)) {
    return fmt::format("few rows {} tiles of their own here, few_keys is {}", has_few ? "have" : "have no",
                       t.few_keys);
  }
  if (t.few_keys % (step * t.num_warps) != 0) {
    return fmt::format("{} keys of few rows are not {} for each of {} warps", t.few_keys, step, t.num_warps);
  }
  if (t.blocks_per_sm < 1 || t.blocks_per_sm > kMaxBlocks) {
    return fmt::format("a multiprocessor has 1 to {} blocks, not {}", kMaxBlocks, t.blocks_per_sm);
  }
  return {};
}

std::string why_illegal_ring(const AttentionTiles& t) {
  for (const int keys : {t.keys, t.few_keys}) {
    if (keys == 0) continue;
    if (kInvariantSplitKeys % keys != 0)
      return fmt::format("tiles of {} keys do not divide {}", keys, kInvariantSplitKeys);
    if (t.ring_keys % keys != 0 || t.ring_keys < 2 * keys || t.ring_keys > kMaxStages * keys) {
      return fmt::format("a ring of {} keys is not 2 to {} tiles of {}", t.ring_keys, kMaxStages, keys);
    }
  }
  return {};
}

}  // namespace

int shared_limit(int sm) {
  if (sm == 80 || sm == 87) return 163 << 10;
  return sm >= 90 && sm < 120 ? 227 << 10 : 99 << 10;
}

int exchange_bytes(int num_warps) { return kExchangeBytesPerWarp * num_warps; }

int tiles_bytes(const AttentionClass& problem, const AttentionTiles& t) {
  const bool is_f32 = problem.dtype == DType::kF32;
  const auto strips_of = [&](int cols) {
    return ceil_div(cols * static_cast<int>(dtype_bytes(problem.dtype)), 128);
  };
  const int cols = value_cols_of(problem), strips = strips_of(problem.head_dim),
            both = strips + strips_of(cols);
  const int probs = is_f32 ? kFewRows * t.num_warps * std::max(t.keys, t.few_keys) * 4 : 0;
  const int tiles = round_up(strips * kFewRows * t.num_warps * 128, 1024) + both * t.ring_keys * 128 + probs;
  const int reserved = round_up(exchange_bytes(t.num_warps) + (t.producer_registers > 0 ? kBarrierBytes : 0),
                                1024);  // beside the tiles
  return reserved + std::max(tiles, t.num_warps * cols * 64);
}

HeadShape compiled_heads_of(DType dtype, HeadShape heads, int sm) {
  const int bound = head_dim_bound(std::max(heads.qk, heads.vo));
  if (!has_warpgroups({dtype, bound}, sm)) return heads_of_bound(bound);
  const int unit = 16 / static_cast<int>(dtype_bytes(dtype));
  return {round_up(heads.qk, unit), round_up(heads.vo, unit)};
}

int value_cols_of(const AttentionClass& problem) {
  if (problem.head_dim <= kWideHeads) return problem.head_dim;
  return problem.dtype == DType::kF32 ? 128 : 256;
}

AttentionTuning heuristic_config(const AttentionClass& problem, int sm) {
  return {heuristic_tiles(problem, sm), {1, 128, 2, 3}};
}

std::string why_illegal_tiles(const AttentionClass& problem, const AttentionTiles& t, int sm) {
  std::string reason =
      t.producer_registers != 0 ? why_illegal_warpgroups(problem, t, sm) : why_illegal_warps(problem, t, sm);
  if (reason.empty()) reason = why_illegal_ring(t);
  if (!reason.empty()) return reason;
  const int bytes = tiles_bytes(problem, t);
  if (bytes > shared_limit(sm) || t.blocks_per_sm * (bytes + kSystemBytes) > shared_room(sm)) {
    return fmt::format("{} block{} of {} bytes of shared memory, of which sm_{} has {}", t.blocks_per_sm,
                       t.blocks_per_sm == 1 ? "" : "s", bytes, sm, shared_limit(sm));
  }
  return {};
}

std::vector<AttentionTiles> legal_tiles_of(const AttentionClass& problem, int sm) {
  std::vector<AttentionTiles> found = {heuristic_tiles(problem, sm)};
  const auto add = [&](const AttentionTiles& t) {
    if (std::find(found.begin(), found.end(), t) == found.end() && why_illegal_tiles(problem, t, sm).empty())
      found.push_back(t);
  };
  for (int slots = 2; slots <= kMaxStages; ++slots) {
    for (const int registers : kProducerRegisters)
      add({8, kWarpgroupKeys, kWarpgroupKeys, slots * kWarpgroupKeys, 1, registers});
  }
  const bool has_few = found.front().few_keys > 0;
  if (!has_few && problem.kind != BatchKind::kPrefill) return found;  // prefill's kernel runs all batches
  const int step = step_of(problem);
  for (const int num_warps : {1, 2, 4, 8}) {
    if (has_few && num_warps < 4) continue;
    for (const int keys : {8, 16, 32, 64, 128}) {
      const int few_keys = has_few ? std::max(keys, step * num_warps) : 0;
      const bool is_same_kernel = problem.kind == BatchKind::kDecode && has_few && few_keys != keys;
      for (int stages = 2; stages <= kMaxStages && !is_same_kernel; ++stages) {
        for (int blocks = 1; blocks <= kMaxBlocks; ++blocks) {
          // Room for `stages` tiles of many rows, and for at least two of few rows, which may be longer.
          const int ring_keys = std::max(stages * keys, 2 * few_keys);
          add({num_warps, keys, few_keys, ring_keys, blocks, 0});
        }
      }
    }
  }
  return found;
}

}  // namespace quire
