// Attention with tiles that no heuristics choose but a tuner may, on the emulated chips where they are legal.
#include <gtest/gtest.h>

#include <array>

#include "base/error.h"
#include "conformance/emulated_attention.h"
#include "targets/cuda/attention_tiles.h"
#include "targets/emulator/emulator_device.h"

namespace quire {

// By the tests' CMakeLists.txt, from the same numbers.
std::span<const EmulatedKernel> tiles_a_kernels();
std::span<const EmulatedKernel> tiles_b_kernels();
std::span<const EmulatedKernel> tiles_c_kernels();
std::span<const EmulatedKernel> tiles_d_kernels();

namespace {

struct Setting {
  std::array<int, 6> tiles;
  std::span<const EmulatedKernel> (*kernels)();
};
const Setting kSettings[] = {{{QUIRE_TILES_A}, tiles_a_kernels},
                             {{QUIRE_TILES_B}, tiles_b_kernels},
                             {{QUIRE_TILES_C}, tiles_c_kernels},
                             {{QUIRE_TILES_D}, tiles_d_kernels}};
constexpr AttentionClass kClass{DType::kBF16, 64, BatchKind::kMixed};

TEST(EmulatorTiles, ComputeWhatTheOracleComputes) {
  int num_chips = 0;
  for (const Setting& setting : kSettings) {
    const auto& t = setting.tiles;
    const AttentionTiles tiles{t[0], t[1], t[2], t[3], t[4], t[5]};
    for (const int sm : {80, 90}) {
      if (!why_illegal_tiles(kClass, tiles, sm).empty()) continue;
      EXPECT_NE(heuristic_config(kClass, sm).tiles, tiles);
      ++num_chips;
      for (const LaneOrder order : {LaneOrder::kForward, LaneOrder::kReversed, LaneOrder::kShuffled}) {
        SCOPED_TRACE(fmt::format("{} on sm_{}, order {}", to_string(tiles), sm, static_cast<int>(order)));
        EmulatorOptions options;
        options.sm = sm;
        options.order = order;
        options.tiles = tiles;
        const auto kernels = setting.kernels();
        const auto device = open_emulator(options, {kernels.begin(), kernels.end()});
        EXPECT_EQ(device->attention().caps(kClass).rows, many_rows(tiles));
        Comparison found;
        run_attention(*device, kClass.dtype, found);
        EXPECT_TRUE(found.passed()) << found.worst();
      }
    }
  }
  EXPECT_EQ(num_chips, 7) << "a producer is legal on one chip, the others on both";
}

}  // namespace
}  // namespace quire
