// What every target looks like from above: memory, kernels by name, an ordered queue of launches, and facts about itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "tile/page_layout.h"

namespace quire {

enum class KernelName : std::uint8_t {
  kAttention,
  kMergeState,
  kKvWrite,
  kLinear,       // y of the dtype of x
  kLinearToF32,  // y in f32
  kRmsNorm,
  kRope,
  kActivation,
  kEmbedding,
  kSampleReduce,  // f32 only
  kCeilingRead,   // the three that measure what the device can do; see CeilingParams
  kCeilingFma,
  kCeilingDot,
  kCount,
};

const char* to_string(KernelName name);

// Work of the ceiling kernels: kCeilingRead reads num_elems f32 from data; the others do num_elems multiply-adds. Each
// program writes a number that depends on all of its work to sink[program], so that none can be left out.
struct CeilingParams {
  const float* data;
  float* sink;
  long num_elems;
  int num_work;
};

struct KernelKey {
  KernelName name;
  DType dtype;
};

// What one launch moves and computes at least: every printed time can be a fraction of what the device can do.
struct LaunchCost {
  double bytes = 0;
  double flops = 0;
};

// Facts a planner needs. Tiles are those of the compiled kernels.
struct DeviceCaps {
  std::string target;        // "cpu"
  std::string architecture;  // the level or chip in the vendor's words, e.g. "x86-64-v3"
  std::string description;   // processor name
  int num_programs = 1;      // programs that run at the same time
  int attention_rows = 0;    // rows of one attention program
  int attention_keys = 0;    // keys of one tile of scores; splits are multiples of it
  bool has_pair_dot = false;  // bf16 products at twice the f32 rate
};

// Device memory, freed with the object. `data` is a device address; on the cpu target the host may use it.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual std::byte* data() const = 0;
  virtual std::size_t bytes() const = 0;

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
};

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceCaps& caps() const = 0;

  // Uninitialised memory, 64-byte aligned. Throws Error{kExhausted} with the size.
  virtual std::unique_ptr<Buffer> allocate(std::size_t bytes) = 0;

  // Ordered with launches; the host memory may be reused when they return.
  virtual void copy_to_device(std::byte* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(void* to, const std::byte* from, std::size_t bytes) = 0;

  // Starts a kernel on `params` (the kernel's *Params struct from kernels/params.h, copied). Launches run in order.
  // `num_work` is the number of work items, a bound for how many programs are worth starting.
  virtual void launch(KernelKey key, const void* params, int num_work, LaunchCost cost) = 0;
  virtual void synchronize() = 0;

  // Total cost of all launches since the last call.
  virtual LaunchCost take_cost() = 0;

  // The native page layout: neighbours that lie together along the dimension a dot sums over.
  virtual int layout_pair(DType dtype) const = 0;

  template <class Params>
  void run(KernelName name, DType dtype, const Params& params, int num_work, LaunchCost cost = {}) {
    launch({name, dtype}, &params, num_work, cost);
  }
};

struct DeviceOptions {
  int num_threads = 0;   // cpu: 0 = one a core
  std::string cpu_isa;   // cpu: "" = the best that the machine has, else v2 | v3 | v4 | v4bf16 | neon | ...
};

}  // namespace quire
