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

// The driver's functions: the name here, the name that cuda.h has given it since CUDA 4 to 12, parameters.
// All return an error, 0 if there is none. The version is 1000 * major + 10 * minor of the CUDA that the
// driver knows.
// clang-format off
#define QUIRE_CUDA_FUNCTIONS(F) \
  F(init, "cuInit", unsigned flags) \
  F(driver_get_version, "cuDriverGetVersion", int* version) \
  F(get_error_name, "cuGetErrorName", int error, const char** name) \
  F(get_error_string, "cuGetErrorString", int error, const char** text) \
  F(device_get_count, "cuDeviceGetCount", int* count) \
  F(device_get, "cuDeviceGet", int* device, int idx) \
  F(device_get_name, "cuDeviceGetName", char* name, int name_bytes, int device) \
  F(device_get_attribute, "cuDeviceGetAttribute", int* value, int attribute, int device) \
  F(device_total_mem, "cuDeviceTotalMem_v2", std::size_t* bytes, int device) \
  F(device_primary_ctx_retain, "cuDevicePrimaryCtxRetain", CuContextHandle** context, int device) \
  F(device_primary_ctx_release, "cuDevicePrimaryCtxRelease_v2", int device) \
  F(ctx_set_current, "cuCtxSetCurrent", CuContextHandle* context) \
  F(ctx_get_device, "cuCtxGetDevice", int* device) \
  F(mem_get_info, "cuMemGetInfo_v2", std::size_t* free_bytes, std::size_t* total_bytes) \
  F(mem_alloc, "cuMemAlloc_v2", CuAddress* address, std::size_t bytes) \
  F(mem_free, "cuMemFree_v2", CuAddress address) \
  F(mem_host_alloc, "cuMemHostAlloc", void** p, std::size_t bytes, unsigned flags) \
  F(mem_free_host, "cuMemFreeHost", void* p) \
  F(memcpy_htod_async, "cuMemcpyHtoDAsync_v2", CuAddress to, const void* from, std::size_t bytes, \
    CuStreamHandle* stream) \
  F(memcpy_dtoh_async, "cuMemcpyDtoHAsync_v2", void* to, CuAddress from, std::size_t bytes, \
    CuStreamHandle* stream) \
  F(memset_d8_async, "cuMemsetD8Async", CuAddress to, unsigned char value, std::size_t bytes, \
    CuStreamHandle* stream) \
  F(stream_create, "cuStreamCreate", CuStreamHandle** stream, unsigned flags) \
  F(stream_destroy, "cuStreamDestroy_v2", CuStreamHandle* stream) \
  F(stream_synchronize, "cuStreamSynchronize", CuStreamHandle* stream) \
  F(stream_get_ctx, "cuStreamGetCtx", CuStreamHandle* stream, CuContextHandle** context) \
  F(stream_begin_capture, "cuStreamBeginCapture_v2", CuStreamHandle* stream, int mode) \
  F(stream_end_capture, "cuStreamEndCapture", CuStreamHandle* stream, CuGraphHandle** graph) \
  F(graph_instantiate, "cuGraphInstantiateWithFlags", CuGraphExecHandle** exec, CuGraphHandle* graph, \
    unsigned long long flags) \
  F(graph_launch, "cuGraphLaunch", CuGraphExecHandle* exec, CuStreamHandle* stream) \
  F(graph_exec_destroy, "cuGraphExecDestroy", CuGraphExecHandle* exec) \
  F(graph_destroy, "cuGraphDestroy", CuGraphHandle* graph) \
  F(event_create, "cuEventCreate", CuEventHandle** event, unsigned flags) \
  F(event_destroy, "cuEventDestroy_v2", CuEventHandle* event) \
  F(event_record, "cuEventRecord", CuEventHandle* event, CuStreamHandle* stream) \
  F(event_synchronize, "cuEventSynchronize", CuEventHandle* event) \
  F(event_elapsed_time, "cuEventElapsedTime", float* milliseconds, CuEventHandle* start, \
    CuEventHandle* end) \
  F(module_load_data, "cuModuleLoadData", CuModuleHandle** module, const void* image) \
  F(module_unload, "cuModuleUnload", CuModuleHandle* module) \
  F(module_get_function, "cuModuleGetFunction", CuFunctionHandle** function, CuModuleHandle* module, \
    const char* name) \
  F(func_set_attribute, "cuFuncSetAttribute", CuFunctionHandle* function, int attribute, int value) \
  F(launch_kernel, "cuLaunchKernel", CuFunctionHandle* function, unsigned grid_x, unsigned grid_y, \
    unsigned grid_z, unsigned group_x, unsigned group_y, unsigned group_z, unsigned shared_bytes, \
    CuStreamHandle* stream, void** params, void** extra)
// clang-format on

struct CudaFunctions {
#define QUIRE_POINTER(name, symbol, ...) int (*name)(__VA_ARGS__);
  QUIRE_CUDA_FUNCTIONS(QUIRE_POINTER)
#undef QUIRE_POINTER
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
