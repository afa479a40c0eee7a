// Which kernel instantiation serves a launch, and its text: the one place that knows the kernels' template parameters on NVIDIA
// chips.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "device/device.h"

namespace quire {

struct CudaKernel {
  std::string name;    // for people and the cache, e.g. "attention_bf16_d128"
  std::string source;  // entry text: includes the kernel headers, defines
                       // extern "C" __global__ void quire_entry(const Params p, const LaunchState s)
  std::vector<std::string> options;
  int threads = 0;
  int shared_bytes = 0;
  int blocks_per_sm = 1;
  bool persistent = false;
  std::size_t params_bytes = 0;
};

// A small number that names the instantiation which this launch needs; the same id always means the same CudaKernel on one chip.
int kernel_id(KernelKey key, const void* params);

CudaKernel make_kernel(int id, int sm);  // sm = 80, 86, 89, 90, 100, 120

// Every kernel that the engine can ask for (compile gate, cache fill).
std::vector<int> all_kernel_ids();

// Items of this instantiation.
int num_work_items(int id, const void* params, int num_work);

// Facts about the attention kernel for heads of up to `head_dim` elements: its tiles, and what all of them have in common. Returns
// its blocks on a multiprocessor.
int set_attention_caps(int sm, DType dtype, int head_dim, DeviceCaps& caps);

}  // namespace quire
