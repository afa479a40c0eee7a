// Which kernel instantiation serves a launch, and its text: the one place that knows the kernels' template parameters on NVIDIA
// chips.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "device/device.h"
#include "targets/cuda/attention_tiles.h"

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

// sm = 80, 86, 89, 90, 100, 120. `tiles`: of an attention kernel; null: what the heuristics choose.
CudaKernel make_kernel(int id, int sm, const AttentionTiles* tiles = nullptr);

// The problems that an attention kernel serves; nothing for other kernels.
std::optional<AttentionClass> attention_class(int id);

// Every kernel that the engine can ask for (compile gate, cache fill).
std::vector<int> all_kernel_ids();

// Items of this instantiation.
int num_work_items(int id, const void* params, int num_work);

// Facts about the attention kernel with this configuration: its tiles, and what all of them have in common.
void set_attention_caps(const AttentionConfig& config, DeviceCaps& caps);

}  // namespace quire
