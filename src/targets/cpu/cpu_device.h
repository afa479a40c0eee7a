// The cpu target: kernels compiled ahead of time for every instruction-set level, the best chosen when the
// program runs.
#pragma once

#include "device/registry.h"

namespace quire {

void register_cpu_target(TargetRegistry& registry);

}  // namespace quire
