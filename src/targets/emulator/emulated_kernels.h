// The kernels that the emulator has: those of the cuda target, from the same text with the same options,
// compiled for the host when Quire is built (kernel_sources.cpp writes the table).
#pragma once

#include <span>

#include "base/formats.h"

namespace quire {

// Head sizes, in addition to the bounds, for which there are attention kernels: strips of every width occur
// in K and in V.
constexpr HeadShape kEmulatedHeads[] = {{80, 80}, {40, 104}, {120, 56}};

// One lane's run of a kernel.
using EmulatedEntry = void (*)(const void* params, int* counters);

struct EmulatedKernel {
  int sm;            // the chip's family
  const char* name;  // of the JitKernel
  EmulatedEntry entry;
};

std::span<const EmulatedKernel> emulated_kernels();

}  // namespace quire
