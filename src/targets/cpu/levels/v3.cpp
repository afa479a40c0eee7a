#define QUIRE_TARGET cpu_v3
#define QUIRE_TARGET_HEADER "targets/cpu/tile/target.h"
#include "targets/cpu/level_kernels.h"

namespace quire {
CpuKernelTable kernel_table_v3() { return cpu_v3::make_table("v3"); }
}  // namespace quire
