// In builds without the emulator's kernels.
#include "targets/emulator/emulated_kernels.h"

namespace quire {

std::span<const EmulatedKernel> emulated_kernels() { return {}; }

}  // namespace quire
