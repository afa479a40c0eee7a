// The instruction-set levels of this build and whether this machine has them.
#pragma once

#include <string>
#include <vector>

#include "targets/cpu/kernel_table.h"

namespace quire {

struct CpuLevel {
  const char* name;          // as given to --cpu-isa
  const char* architecture;  // in the vendor's words
  bool present;              // this machine has it
  bool preferred;            // may be chosen automatically
  CpuKernelTable (*table)();
};

// Weakest first.
std::vector<CpuLevel> cpu_levels();

// The level of that name, or with "" the best that is present. Throws Error{kNotFound} or
// Error{kUnsupported}.
CpuLevel choose_cpu_level(const std::string& name);

// The processor's name from the operating system, or "unknown".
std::string cpu_model_name();

}  // namespace quire
