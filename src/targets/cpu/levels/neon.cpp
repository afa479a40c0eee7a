#define QUIRE_TARGET cpu_neon
#define QUIRE_TARGET_HEADER "targets/cpu/tile/target.h"
#include "targets/cpu/level_kernels.h"

namespace quire {
CpuKernelTable kernel_table_neon() { return cpu_neon::make_table("neon"); }
}  // namespace quire
