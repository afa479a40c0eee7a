// What every target looks like from above: memory, kernels by name, an ordered queue of launches, and facts about itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "device/attention_config.h"
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
  kSampleGreedy,  // f32 only
  kSampleBins,    // likewise, and the next ones
  kSampleCut,
  kSampleDraw,
  kTakeTokens,
  kCeilingRead,   // the three that measure what the device can do; see CeilingParams
  kCeilingFma,
  kCeilingDot,
  kCount,
};

const char* to_string(KernelName name);

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
  int attention_rows = 0;    // rows of one attention program, at most
  int invariant_rows = 0;    // the same in batch-invariant mode: one arithmetic for any number of rows
  int few_rows = 0;          // up to so many rows a program takes another form; 0: never
  int attention_keys = 0;    // keys of one tile of scores; splits are multiples of it
  SplitPolicy split_policy;
  std::string config_source = "heuristics";  // where tiles and policy come from, for people
  bool has_pair_dot = false;  // bf16 products at twice the f32 rate, or more
  double dot_error = 1;      // error of a sum of products over that of f32 additions, each rounded to nearest
  bool rounds_probs[3] = {};  // by dtype of K and V: probabilities are rounded to it before they meet V
  bool runs_async = false;    // launches return before they have run, and cost less when recorded
  bool is_emulated = false;   // correct and very slow: tests take few and small problems
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

// Device memory in bytes, at this moment.
struct DeviceMemory {
  std::size_t free_bytes = 0, total_bytes = 0;
  bool is_host = false;  // the host's own, which other programs need too
};

// A copy to the host that runs beside later work of the device. One at a time.
class HostCopy {
 public:
  virtual ~HostCopy() = default;
  virtual void start(const std::byte* from, std::size_t bytes) = 0;  // after all launches before it; no more bytes than it was made for
  virtual const std::byte* wait() = 0;                                // for this copy alone; valid until the next start
};

// Launches that were recorded once and start again as a whole.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch() = 0;  // ordered with the device's other launches
};

class TunableAttention;  // device/attention_configs.h

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceCaps& caps() const = 0;

  // The same where the attention kernel for this class of problems has other tiles or fills the device differently.
  virtual DeviceCaps attention_caps(const AttentionClass& problem) const;

  // Null where nothing of attention can be tuned.
  virtual TunableAttention* tunable_attention() { return nullptr; }

  // Uninitialised memory, 64-byte aligned. Throws Error{kExhausted} with the size.
  virtual std::unique_ptr<Buffer> allocate(std::size_t bytes) = 0;

  // Ordered with launches; the host memory may be reused when they return.
  virtual void copy_to_device(std::byte* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(void* to, const std::byte* from, std::size_t bytes) = 0;

  // The device outlives what it returns. The default copies at once.
  virtual std::unique_ptr<HostCopy> make_host_copy(std::size_t max_bytes);

  // The default: the host's.
  virtual DeviceMemory memory() const;

  // Starts a kernel on `params` (the kernel's *Params struct from kernels/params.h, copied). Launches run in order.
  // `num_work` is the number of work items, a bound for how many programs are worth starting.
  virtual void launch(KernelKey key, const void* params, int num_work, LaunchCost cost) = 0;
  virtual void synchronize() = 0;

  // Records what `launches` launches, with the params of now; memory is read when the graph runs. Nothing but launches may
  // happen inside: a copy, an allocation or a wait is Error{kInternal} on a device that records. The default calls the
  // function anew each time, so what it refers to must live as long as the graph, and so must the device.
  virtual std::unique_ptr<Graph> capture(const std::function<void()>& launches);

  // Time on the device from the start of what `work` launches to its end, by the device's own clock where it has one.
  // Waits for the end.
  virtual double time_us(const std::function<void()>& work);

  // Gets ready the kernels that `launches` would launch, so that no later launch has to: a device that compiles at run time
  // calls the function with launching suspended and compiles what is missing in parallel. The default has nothing to do.
  virtual void prepare(const std::function<void()>& launches);

  // Total cost of all launches since the last call.
  LaunchCost take_cost() { return std::exchange(cost_, {}); }

  // Counts what launches cost beside what was said of them: where a graph's work depends on memory.
  void add_cost(LaunchCost cost) {
    cost_.bytes += cost.bytes;
    cost_.flops += cost.flops;
  }

  // How pages of keys and values, and packed weights, lie in this device's memory.
  virtual NativeLayout native_layout(DType dtype) const = 0;

  template <class Params>
  void run(KernelName name, DType dtype, const Params& params, int num_work, LaunchCost cost = {}) {
    launch({name, dtype}, &params, num_work, cost);
  }

 private:
  LaunchCost cost_;
};

struct DeviceOptions {
  std::string architecture;  // emulator: the chip to imitate; what stands behind the colon of a target's name
  int num_threads = 0;      // cpu: 0 = one a core
  std::string cpu_isa;      // cpu: "" = the best that the machine has, else v2 | v3 | v4 | v4bf16 | neon | ...
  int device_idx = 0;       // of several devices of one target, in the driver's order
  std::string cache_dir;    // compiled kernels and tuned configurations are kept here; "" = not on disk
  std::string nvrtc_path;   // cuda: libnvrtc, as a file or its folder; "" = the usual places
  std::string cublas_path;  // cuda: libcublasLt, likewise
  bool own_kernels_only = false;  // also where a vendor's library is present
  int max_programs = 0;  // cuda: that run at the same time, 0: as many as the chip takes; with few even a small test gives each several items
  bool lane_arrivals = false;  // cuda: each lane arrives at barriers in shared memory, not one for its warp: slower, and racecheck can follow
};

}  // namespace quire
