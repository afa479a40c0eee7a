// The interface of all targets: memory, kernels by variant, an ordered queue of launches, and facts about the
// device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "device/kernel_variant.h"
#include "device/layout.h"

namespace quire {

// What one launch moves and computes at least: every printed time can be a fraction of what the device can
// do.
struct LaunchCost {
  double bytes = 0;
  double flops = 0;
};

struct DeviceCaps {
  std::string target;         // "cpu"
  std::string architecture;   // the level or chip in the vendor's words, e.g. "x86-64-v3"
  std::string description;    // processor name
  int num_programs = 1;       // programs that run at the same time
  bool has_pair_dot = false;  // bf16 products at twice the f32 rate, or more
  double dot_error = 1;      // error of a sum of products over that of f32 additions, each rounded to nearest
  bool runs_async = false;   // launches return before they have run, and cost less when recorded
  bool compiles_kernels = false;  // when they are first launched, unless Device::prepare has done so
  bool is_emulated = false;  // correct and very slow: tests take few and small problems
};

// "cpu (x86-64-v3), 2 threads, AMD EPYC ..."
std::string describe(const DeviceCaps& caps);

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
  virtual void start(
      const std::byte* from,
      std::size_t bytes) = 0;           // after all launches before it; no more bytes than it was made for
  virtual const std::byte* wait() = 0;  // for this copy alone; valid until the next start
};

// Launches that were recorded once and start again as a whole.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch() = 0;  // ordered with the device's other launches
};

class AttentionTarget;  // tuning/attention_target.h

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceCaps& caps() const = 0;

  // Facts and choices of its attention kernels.
  virtual const AttentionTarget& attention() const = 0;

  // Uninitialised memory, 64-byte aligned. Throws Error{kExhausted} with the size.
  virtual std::unique_ptr<Buffer> allocate(std::size_t bytes) = 0;

  // Ordered with launches; the host memory may be reused when they return.
  virtual void copy_to_device(std::byte* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(void* to, const std::byte* from, std::size_t bytes) = 0;

  // The device outlives what it returns. The default copies at once.
  virtual std::unique_ptr<HostCopy> make_host_copy(std::size_t max_bytes);

  // The default: the host's.
  virtual DeviceMemory memory() const;

  // Once for each operator; the same variant always has the same handle. Nothing is compiled yet, see
  // prepare. Throws Error{kUnsupported} with the reason where the target has no such kernel.
  KernelHandle resolve(const KernelVariant& variant);

  // Starts a kernel on `params` (the kernel's *Params struct from kernels/params.h, copied). Launches run in
  // order. `num_work` is the number of work items, a bound for how many programs are worth starting. Throws
  // Error{kInternal} for params that ask for what the variant does not have.
  void launch(KernelHandle kernel, const void* params, int num_work, LaunchCost cost);
  virtual void synchronize() = 0;

  // Records what `launches` launches, with the params of now; memory is read when the graph runs. Nothing but
  // launches may happen inside: a copy, an allocation or a wait is Error{kInternal} on a device that records.
  // The default calls the function anew each time, so what it refers to must live as long as the graph, and
  // so must the device.
  virtual std::unique_ptr<Graph> capture(const std::function<void()>& launches);

  // Time on the device from the start of what `work` launches to its end, by the device's own clock where it
  // has one. Waits for the end.
  virtual double time_us(const std::function<void()>& work);

  // Gets ready the kernels that `launches` would launch, so that no later launch has to: a device that
  // compiles at run time calls the function with launching suspended and compiles what is missing in
  // parallel; `progress` hears of each kernel, from one thread at a time. The default has nothing to do.
  using CompileProgress = std::function<void(int num_done, int num_kernels)>;
  virtual void prepare(const std::function<void()>& launches, const CompileProgress& progress = {});

  // Total cost of all launches since the last call.
  LaunchCost take_cost() { return std::exchange(cost_, {}); }

  // Counts what launches cost beside what was said of them: where a graph's work depends on memory.
  void add_cost(LaunchCost cost) {
    cost_.bytes += cost.bytes;
    cost_.flops += cost.flops;
  }

  // How pages of keys and values, and packed weights, lie in this device's memory. Throws Error{kUnsupported}
  // for a format that no kernel of the target reads.
  virtual std::unique_ptr<PageLayout> page_layout(const KvFormat& format, HeadShape heads,
                                                  int page_size) const = 0;
  virtual std::unique_ptr<WeightLayout> weight_layout(const WeightFormat& format, int out_dim,
                                                      int in_dim) const = 0;

  // The same, by the type of the params. The second form looks the variant up: for tests and measurements.
  template <class Params>
  void run(KernelHandle kernel, const Params& params, int num_work, LaunchCost cost = {}) {
    check_params(kernel, sizeof(Params));
    launch(kernel, &params, num_work, cost);
  }
  template <class Params>
  void run(const KernelVariant& variant, const Params& params, int num_work, LaunchCost cost = {}) {
    run(resolve(variant), params, num_work, cost);
  }

 protected:
  // Takes in a new variant, whose handle has the next index; throws as resolve does.
  virtual void add_kernel(const KernelVariant& variant) = 0;
  // What launch does, once the params are known to suit the variant.
  virtual void start_kernel(KernelHandle kernel, const void* params, int num_work, LaunchCost cost) = 0;
  const KernelVariant& variant_of(KernelHandle kernel) const;

 private:
  void check_params(KernelHandle kernel, std::size_t bytes) const;

  LaunchCost cost_;
  std::map<KernelVariant, int> handles_;
  std::vector<KernelVariant> variants_;  // by index
};

// How a device is opened. What one target alone understands stands in `settings`, by the target's name and a
// dot: "cpu.threads".
struct DeviceOptions {
  std::string architecture;  // emulator: the chip to imitate; what stands behind the colon of a target's name
  int device_idx = 0;        // of several devices of one target, in the driver's order
  std::string cache_dir;     // compiled kernels and tuned configurations are kept here; "" = not on disk
  bool own_kernels_only = false;  // also where a vendor's library is present
  // The vendor's handle of a queue (cuda: CUstream) that belongs to the caller and outlives the device, which
  // then launches and copies there. Null: one of the device's own.
  void* queue = nullptr;
  std::map<std::string, std::string> settings;

  const std::string& setting(const std::string& name) const;  // "" if it is not given

  // Of a number; `otherwise` if it is not given. Throws Error{kInvalidArgument} for other text, or a number
  // out of [least, most].
  int int_setting(const std::string& name, int otherwise, int least, int most) const;

  // Of a switch: "true" or "false", off if it is not given. Throws Error{kInvalidArgument} for other text.
  bool bool_setting(const std::string& name) const;
};

}  // namespace quire
