// The kernels of one instruction-set level as function pointers. Included by the per-level files, which are
// compiled with flags that other code must not see: hence no standard header here.
#pragma once

#include "kernels/catalogue.h"

namespace quire {

// One program's view of a launch.
struct CpuLaunch {
  const void* params;
  char* scratch;  // 64-byte aligned
  unsigned long scratch_bytes;
  int* next_item;  // shared by the launch's programs
  int program_idx;
};

using CpuKernel = void (*)(const CpuLaunch&);

constexpr int kNumElements = 3;  // DType's values

// Functions by element type. Kernels without an element type are in the column of f32.
struct CpuKernelTable {
  const char* level;
  CpuKernel rows[kNumKernels][kNumElements];  // by KernelName; null for kernels with tiles
  CpuKernel attention[kNumElements];
  CpuKernel linear[2][2][kNumElements];           // for many rows, for few rows; to the type of x, to f32
  int linear_few_rows;                            // the most rows of the form for few rows
  int linear_few_cols, linear_cols, linear_rows;  // output tiles
  int attention_rows, attention_keys;
  unsigned long scratch_bytes;  // the most that any kernel takes
  bool has_pair_dot;
};

}  // namespace quire
