// A kernel as a run-time compiler gets it, and how it is started.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace quire {

// The threads and memory of a form of a kernel, and the compiler's options that tell its text about them.
struct KernelShape {
  int threads = 0;          // of a block
  int shared_bytes = 0;     // shared memory of a block
  int blocks_per_unit = 1;  // on one multiprocessor at a time
  std::vector<std::string> options;
};

struct JitKernel {
  std::string name;  // for people and the cache, e.g. "attention_few_bf16_d128"
  std::string
      source;  // includes the kernel's header, defines quire_entry(const Params p, const LaunchState s)
  KernelShape shape;
  std::size_t params_bytes = 0;
  bool persistent = false;  // a fixed grid that takes items by counters in memory
  int tile_rows = 0,
      tile_cols = 0;  // of y, for linear layers of many rows; 0: programs share the columns evenly
};

}  // namespace quire
