// The NVIDIA driver: libcuda, found when the program runs, with declarations of our own for the few functions
// that are used. Types and values are those of the CUDA driver API reference; its opaque handles are pointers
// here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/dynamic_library.h"

namespace quire {

using CuAddress = unsigned long long;
struct CuContextHandle;
struct CuStreamHandle;
struct CuEventHandle;
struct CuModuleHandle;
struct CuFunctionHandle;
struct CuGraphHandle;
struct CuGraphExecHandle;

// CUlaunchAttribute and CUlaunchConfig.
struct CuLaunchAttribute {
  int id;
  alignas(8) int value;
  char rest_of_value[60];
};
struct CuLaunchConfig {
  unsigned grid_x, grid_y, grid_z, group_x, group_y, group_z, shared_bytes;
  CuStreamHandle* stream;
  const CuLaunchAttribute* attributes;
  unsigned num_attributes;
};

// Pointers to the driver's functions, under their names without the prefix.
struct CudaFunctions {
  int (*init)(unsigned flags);
  int (*driver_get_version)(int* version);  // 1000 * major + 10 * minor of the CUDA that the driver knows
  int (*get_error_name)(int error, const char** name);
  int (*get_error_string)(int error, const char** text);
  int (*device_get_count)(int* count);
  int (*device_get)(int* device, int idx);
  int (*device_get_name)(char* name, int name_bytes, int device);
  int (*device_get_attribute)(int* value, int attribute, int device);
  int (*device_total_mem)(std::size_t* bytes, int device);
  int (*device_primary_ctx_retain)(CuContextHandle** context, int device);
  int (*device_primary_ctx_release)(int device);
  int (*ctx_set_current)(CuContextHandle* context);
  int (*ctx_get_device)(int* device);
  int (*mem_get_info)(std::size_t* free_bytes, std::size_t* total_bytes);
  int (*mem_alloc)(CuAddress* address, std::size_t bytes);
  int (*mem_free)(CuAddress address);
  int (*mem_host_alloc)(void** p, std::size_t bytes, unsigned flags);
  int (*mem_free_host)(void* p);
  int (*memcpy_htod_async)(CuAddress to, const void* from, std::size_t bytes, CuStreamHandle* stream);
  int (*memcpy_dtoh_async)(void* to, CuAddress from, std::size_t bytes, CuStreamHandle* stream);
  int (*memset_d8_async)(CuAddress to, unsigned char value, std::size_t bytes, CuStreamHandle* stream);
  int (*stream_create)(CuStreamHandle** stream, unsigned flags);
  int (*stream_destroy)(CuStreamHandle* stream);
  int (*stream_synchronize)(CuStreamHandle* stream);
  int (*stream_get_ctx)(CuStreamHandle* stream, CuContextHandle** context);
  int (*stream_begin_capture)(CuStreamHandle* stream, int mode);
  int (*stream_end_capture)(CuStreamHandle* stream, CuGraphHandle** graph);
  int (*graph_instantiate)(CuGraphExecHandle** exec, CuGraphHandle* graph, unsigned long long flags);
  int (*graph_launch)(CuGraphExecHandle* exec, CuStreamHandle* stream);
  int (*graph_exec_destroy)(CuGraphExecHandle* exec);
  int (*graph_destroy)(CuGraphHandle* graph);
  int (*event_create)(CuEventHandle** event, unsigned flags);
  int (*event_destroy)(CuEventHandle* event);
  int (*event_record)(CuEventHandle* event, CuStreamHandle* stream);
  int (*event_synchronize)(CuEventHandle* event);
  int (*event_elapsed_time)(float* milliseconds, CuEventHandle* start, CuEventHandle* end);
  int (*module_load_data)(CuModuleHandle** module, const void* image);
  int (*module_unload)(CuModuleHandle* module);
  int (*module_get_function)(CuFunctionHandle** function, CuModuleHandle* module, const char* name);
  int (*func_set_attribute)(CuFunctionHandle* function, int attribute, int value);
  int (*launch_kernel)(CuFunctionHandle* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                       unsigned group_x, unsigned group_y, unsigned group_z, unsigned shared_bytes,
                       CuStreamHandle* stream, void** params, void** extra);
  int (*launch_kernel_ex)(const CuLaunchConfig* config, CuFunctionHandle* function, void** params,
                          void** extra);  // null before CUDA 12.3
};

constexpr int kCuErrorOutOfMemory = 2;
constexpr int kCuErrorNoDevice = 100;
constexpr int kCuFunctionMaxDynamicSharedBytes = 8;
constexpr int kCuFunctionSharedCarveout = 9;  // percent of the first-level memory that is shared memory
constexpr unsigned kCuStreamNonBlocking = 1;
constexpr std::uintptr_t kCuStreamLegacy = 1, kCuStreamPerThread = 2;  // the default streams, as handles
constexpr unsigned kCuEventDisableTiming = 2;
constexpr int kCuCaptureRelaxed = 2;
constexpr int kCuLaunchMayOverlap = 6;      // attribute: programmatic stream serialization
constexpr int kCuOverlapsInGraphs = 12030;  // version of CUDA whose graphs keep that attribute

// Facts about one GPU.
struct CudaDeviceFacts {
  std::string name;
  int sm = 0;  // 10 * major + minor of the compute capability
  int num_multiprocessors = 0;
  int clock_khz = 0;
  std::size_t memory_bytes = 0;
};

class Driver {
 public:
  // Loads and initialises the driver. Throws Error{kUnsupported} with the reason if there is none or it
  // fails.
  static std::shared_ptr<const Driver> open();

  const CudaFunctions& call() const { return functions_; }
  int version() const { return version_; }  // of CUDA, as driver_get_version gives it
  int num_devices() const { return num_devices_; }

  // Throws Error{kInvalidArgument} with the number of devices if there is none of that index.
  CudaDeviceFacts facts(int device_idx) const;

  // Checks the `result` of a function; the message says what was tried. If it failed, throws
  // Error{kInternal}, or kExhausted for memory, with the message and the driver's description.
  template <class... Args>
  void check(int result, fmt::format_string<Args...> attempt, Args&&... args) const {
    if (result != 0) fail(result, fmt::format(attempt, std::forward<Args>(args)...));
  }

  // "CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected)"
  std::string words(int result) const;

 private:
  explicit Driver(DynamicLibrary library);
  [[noreturn]] void fail(int result, const std::string& attempt) const;

  DynamicLibrary library_;
  CudaFunctions functions_{};
  int version_ = 0, num_devices_ = 0;
};

// "12.8" of 12080
std::string cuda_version_text(int version);

}  // namespace quire
