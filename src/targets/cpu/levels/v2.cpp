#define QUIRE_TARGET cpu_v2
#define QUIRE_TARGET_HEADER "targets/cpu/tile/target.h"
#include "targets/cpu/level_kernels.h"

namespace quire {
CpuKernelTable kernel_table_v2() { return cpu_v2::make_table("v2"); }
}  // namespace quire
