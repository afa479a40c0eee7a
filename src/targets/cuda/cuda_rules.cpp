// The kernels of the catalogue on NVIDIA chips: tiles, threads, shared memory, and the source around a
// kernel's text.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/params.h"
#include "targets/cuda/attention_tiles.h"
#include "targets/cuda/chips.h"
#include "tile/ranges.h"

namespace quire {
namespace {

constexpr int kLinearManyRows = 64;

// The most blocks on a multiprocessor, by family (CUDA programming guide, technical specifications).
int most_blocks(int sm) { return sm == 86 ? 16 : sm == 89 || sm == 120 ? 24 : 32; }

const std::vector<std::string> kSmallRing = {"-DQUIRE_RING_KEYS=64", "-DQUIRE_RING_STEPS=2"};

std::vector<std::string> with(std::vector<std::string> options, std::initializer_list<std::string> more) {
  options.insert(options.end(), more);
  return options;
}

class CudaRules : public TileRules {
 public:
  CudaRules(int sm, std::span<const HeadShape> own_heads) : sm_(sm), own_heads_(own_heads) {}

  AttentionTuning heuristics(const AttentionClass& problem) const override {
    return heuristic_config(problem, sm_);
  }
  std::string why_illegal(const AttentionClass& problem, const AttentionTiles& tiles) const override {
    return why_illegal_tiles(problem, tiles, sm_);
  }
  std::vector<AttentionTiles> legal_tiles(const AttentionClass& problem) const override {
    return legal_tiles_of(problem, sm_);
  }

  KernelShape attention_shape(const AttentionClass& problem, const AttentionTiles& t,
                              bool is_exact) const override {
    const bool has_producer = t.producer_registers > 0;
    return {32 * (t.num_warps + (has_producer ? 4 : 0)),
            tiles_bytes(problem, t),
            t.blocks_per_sm,
            {fmt::format("-DQUIRE_WARPS={}", t.num_warps), fmt::format("-DQUIRE_RING_KEYS={}", t.ring_keys),
             "-DQUIRE_RING_STEPS=2", fmt::format("-DQUIRE_EXACT_HEADS={}", is_exact ? 1 : 0),
             fmt::format("-DQUIRE_WARPGROUPS={}", has_producer ? 1 : 0),
             fmt::format("-DQUIRE_PRODUCER={}", t.producer_registers)}};
  }

  HeadShape compiled_heads(DType dtype, HeadShape heads) const override {
    const HeadShape own = compiled_heads_of(dtype, heads, sm_);
    const bool is_listed = dtype == DType::kBF16 && std::count(own_heads_.begin(), own_heads_.end(), own) > 0;
    return own_heads_.empty() || is_listed ? own
                                           : heads_of_bound(head_dim_bound(std::max(heads.qk, heads.vo)));
  }
  int value_cols(const AttentionClass& problem) const override { return value_cols_of(problem); }

  LinearTiles linear(DType x, bool is_many) const override {
    const int elem = static_cast<int>(dtype_bytes(x));
    return is_many ? many_rows_tiles(elem) : few_rows_tiles(elem);
  }

  KernelShape row_shape(const std::string& name, DType dtype, int threads, bool is_ragged) const override;

  std::vector<std::string> common_options() const override {
    return {"-DQUIRE_TARGET=cuda_target", "-DQUIRE_TARGET_HEADER=\"targets/cuda/tile/target.h\"",
            "-DQUIRE_SIMT_HEADER=\"targets/cuda/tile/simt_nvidia.h\""};
  }
  std::string tile_folder() const override { return "targets/cuda/tile/"; }
  std::string entry_head(const char* params, int threads, int blocks_per_unit) const override {
    return fmt::format(
        "extern \"C\" __global__ void __launch_bounds__({}, {}) quire_entry(const __grid_constant__ {} p, "
        "const LaunchState state)",
        threads, blocks_per_unit, params);
  }

 private:
  LinearTiles many_rows_tiles(int elem) const;
  LinearTiles few_rows_tiles(int elem) const;

  const int sm_;
  const std::span<const HeadShape> own_heads_;
};

// 64 x 64 sums.
LinearTiles CudaRules::many_rows_tiles(int elem) const {
  const int num_warps = 4, cols = 64, stages = 4;
  const int bytes = round_up(exchange_bytes(num_warps), 1024) + stages * (kLinearManyRows + cols) * 128;
  const int blocks = std::max(1, (shared_limit(sm_) + 1024) / (bytes + 1024));
  return {kLinearManyRows,
          cols,
          128 / elem,
          {32 * num_warps,
           bytes,
           blocks,
           {"-DQUIRE_RING_KEYS=64", fmt::format("-DQUIRE_RING_STEPS={}", stages),
            fmt::format("-DQUIRE_WARPS={}", num_warps), "-DQUIRE_JOIN_BYTES=0"}}};
}

// Up to 32 columns, of which each warp reads pieces of 256 bytes. The ring is as deep as shared memory
// allows, to keep as many bytes of the weights in flight as possible.
LinearTiles CudaRules::few_rows_tiles(int elem) const {
  constexpr int kCols = 32, kPieceBytes = 256, kSlotBytes = kCols * kPieceBytes + 128;
  const int num_warps = shared_limit(sm_) > 128 << 10 ? 8 : 4, join_bytes = num_warps * kFewRows * kCols * 4;
  const int reserved = round_up(exchange_bytes(num_warps) + join_bytes, 1024);
  const int stages = std::min(4, (shared_limit(sm_) - reserved) / (num_warps * kSlotBytes));
  return {kFewRows,
          kCols,
          num_warps * kPieceBytes / elem,
          {32 * num_warps,
           reserved + stages * num_warps * kSlotBytes,
           1,
           {"-DQUIRE_RING_KEYS=64", fmt::format("-DQUIRE_RING_STEPS={}", stages),
            fmt::format("-DQUIRE_WARPS={}", num_warps), fmt::format("-DQUIRE_JOIN_BYTES={}", join_bytes)}}};
}

KernelShape CudaRules::row_shape(const std::string& name, DType dtype, int threads, bool is_ragged) const {
  KernelShape shape{threads, exchange_bytes(4), 1, with(kSmallRing, {"-DQUIRE_WHOLE_SPANS=0"})};
  if (name == "sample_bins" || name == "sample_threshold" || name == "sample_draw") {
    // These kernels take rows of any length, like lists of candidates. They need memory for bins: a count and
    // a 64-bit sum each.
    shape.shared_bytes = round_up(exchange_bytes(4), 1024) + kNumBins * 12;
  } else if (name == "ceiling_dot" && sm_ == 90) {
    shape.options = with(kSmallRing, {"-DQUIRE_WARPS=4", "-DQUIRE_WARPGROUPS=1"});
    shape.shared_bytes = 2048 + 16384;
  } else if (!is_ragged) {
    // Many threads hide the latency of loads, and a block still fits beside one of a linear layer. With f32
    // so many would spill.
    shape.blocks_per_unit = std::min(most_blocks(sm_), (dtype == DType::kF32 ? 1024 : 1280) / threads);
    shape.options = with(kSmallRing, {"-DQUIRE_WHOLE_SPANS=1"});
  }
  return shape;
}

}  // namespace

std::unique_ptr<TileRules> cuda_rules(int family, std::span<const HeadShape> own_heads) {
  return std::make_unique<CudaRules>(family, own_heads);
}

}  // namespace quire
