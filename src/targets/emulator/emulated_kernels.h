// The kernels that the emulator has: those of the cuda target, from the same text with the same options,
// compiled for the host when Quire is built (kernel_sources.cpp writes the table).
#pragma once

#include <span>

namespace quire {

// One lane's run of a kernel.
using EmulatedEntry = void (*)(const void* params, int* counters);

struct EmulatedKernel {
  int sm;            // the chip's family
  const char* name;  // of the JitKernel
  EmulatedEntry entry;
};

std::span<const EmulatedKernel> emulated_kernels();

}  // namespace quire
