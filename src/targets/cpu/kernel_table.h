// The kernels of one instruction-set level as function pointers. Included by the per-level files, which are compiled with
// flags that other code must not see: hence no standard header here.
#pragma once

#include "tile/page_layout.h"

namespace quire {

// One program's view of a launch.
struct CpuLaunch {
  const void* params;
  char* scratch;            // 64-byte aligned
  unsigned long scratch_bytes;
  int* next_item;           // shared by the launch's programs
  int program_idx;
};

using CpuKernel = void (*)(const CpuLaunch&);

constexpr int kNumCpuKernels = 17;  // KernelName::kCount
constexpr int kNumDTypes = 3;

struct CpuKernelTable {
  const char* level;
  CpuKernel kernels[kNumCpuKernels][kNumDTypes];
  CpuKernel linear_few[2][kNumDTypes];  // to the dtype of x, to f32: the configuration for few rows
  int linear_few_rows;                  // rows up to which it serves
  int linear_few_cols, linear_cols, linear_rows;  // output tiles
  int attention_rows, attention_keys;
  unsigned long scratch_bytes;  // the most that any kernel takes
  bool has_pair_dot;
};

}  // namespace quire
