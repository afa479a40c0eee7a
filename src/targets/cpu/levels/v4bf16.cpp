#define QUIRE_TARGET cpu_v4bf16
#define QUIRE_TARGET_HEADER "targets/cpu/tile/target.h"
#include "targets/cpu/level_kernels.h"

namespace quire {
CpuKernelTable kernel_table_v4bf16() { return cpu_v4bf16::make_table("v4bf16"); }
}  // namespace quire
