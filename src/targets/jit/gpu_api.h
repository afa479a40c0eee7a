// What a GPU's driver does for the shared half of run-time-compiled targets: one device, one queue of work (a
// stream). A target implements it with its vendor's library. Functions throw Error with the driver's message:
// kExhausted if memory is short, otherwise kInternal. Those that release something do not throw, because
// destructors call them.
#pragma once

#include <cstddef>
#include <string>

#include "device/device.h"
#include "targets/jit/jit_cache.h"
#include "targets/jit/jit_kernel.h"

namespace quire {

// Handles of the vendor's library.
struct GpuEvent;
struct GpuModule;
struct GpuFunction;
struct GpuGraph;

struct GpuFacts {
  std::string target;       // "cuda"
  std::string description;  // the processor's name
  int num_units = 0;        // multiprocessors
};

// A kernel that is loaded.
struct GpuCode {
  GpuModule* module = nullptr;
  GpuFunction* function = nullptr;
};

class GpuApi {
 public:
  virtual ~GpuApi() = default;

  virtual const GpuFacts& facts() const = 0;
  virtual void bind() = 0;  // makes the device current in this thread; to be called first in each thread

  virtual std::byte* allocate(std::size_t bytes) = 0;              // device memory, not set
  virtual void release(std::byte* memory) = 0;                     // waits until all work has ended
  virtual void* pin(std::size_t bytes, const char* what_for) = 0;  // host memory that copies may use
  virtual void unpin(void* memory) = 0;
  virtual void memory_info(std::size_t& free_bytes, std::size_t& total_bytes) = 0;

  // Asynchronous, in the order of the queue; host memory must be pinned.
  virtual void copy_to_device(std::byte* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(void* to, const std::byte* from, std::size_t bytes) = 0;
  virtual void clear(std::byte* to, std::size_t bytes) = 0;
  virtual void synchronize() = 0;
  virtual void* queue() { return nullptr; }  // the vendor's stream handle, for libraries

  virtual GpuEvent* make_event(bool has_time) = 0;
  virtual void destroy(GpuEvent* event) = 0;
  virtual void record(GpuEvent* event) = 0;
  virtual void wait(GpuEvent* event, const char* what_for) = 0;
  virtual double elapsed_us(GpuEvent* start, GpuEvent* end) = 0;

  // `compiler`: its name and version, for the message if the driver does not take its code.
  virtual GpuCode load(const JitKernel& kernel, const CompiledKernel& code, const std::string& compiler) = 0;
  virtual void unload(const GpuCode& code) = 0;
  // `args`: pointers to the params and to the pointer to the launch counters. A launch may start before the
  // one ahead of it has ended; the kernel itself waits for that before it uses memory that others write.
  virtual void launch(const JitKernel& kernel, const GpuCode& code, int num_blocks, void** args) = 0;

  // Launches between these two calls are recorded and not run. end_recording returns null if `is_good` is
  // false.
  virtual void begin_recording() = 0;
  virtual GpuGraph* end_recording(bool is_good) = 0;
  virtual void launch(GpuGraph* graph) = 0;
  virtual void destroy(GpuGraph* graph) = 0;
};

}  // namespace quire
