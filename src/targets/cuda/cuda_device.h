// The cuda target: kernels compiled at run time for the NVIDIA GPU at hand.
#pragma once

#include "device/registry.h"

namespace quire {

void register_cuda_target(TargetRegistry& registry);

}  // namespace quire
