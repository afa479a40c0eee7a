#include "targets/all/linked_targets.h"

#include "targets/cpu/cpu_device.h"
#include "targets/cuda/cuda_device.h"
#include "targets/emulator/emulator_device.h"

namespace quire {

TargetRegistry linked_targets() {
  TargetRegistry registry;
  register_cpu_target(registry);
  register_cuda_target(registry);
  register_emulator_target(registry);
  return registry;
}

}  // namespace quire
