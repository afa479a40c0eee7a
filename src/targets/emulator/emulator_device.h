// The emulator target: runs the cuda target's kernels on host fibers, without a GPU. Its name is
// emulator:CHIP, such as emulator:sm_80, or emulator:CHIP/ORDER with the order in which lanes run: forward
// (the default), reversed or shuffled.
#pragma once

#include <optional>

#include "device/registry.h"
#include "targets/emulator/block.h"
#include "targets/emulator/emulated_kernels.h"
#include "tuning/attention_tuning.h"

namespace quire {

struct EmulatorOptions {
  int sm = 80;
  LaneOrder order = LaneOrder::kForward;
  std::uint64_t seed = 1;  // of a shuffled order; each launch has its own
  int num_programs = 3;    // blocks of a launch, each on a thread of its own
  std::optional<AttentionTiles>
      tiles;  // of attention, where they are legal, instead of what heuristics choose
};

// Throws Error{kInvalidArgument} for other text.
EmulatorOptions parse_emulator_architecture(const std::string& text);

// Prefers `kernels` to the built-in ones of the same name; for tests of the emulator.
std::unique_ptr<Device> open_emulator(const EmulatorOptions& options,
                                      std::vector<EmulatedKernel> kernels = {});

void register_emulator_target(TargetRegistry& registry);

}  // namespace quire
