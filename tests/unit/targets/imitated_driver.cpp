#include "imitated_driver.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>

namespace quire::imitated {

using Work = std::function<void()>;

struct Stream {
  std::vector<Work> queue;
  std::size_t num_done = 0;
  std::vector<Work>* recorded = nullptr;

  void push(Work work) { (recorded != nullptr ? *recorded : queue).push_back(std::move(work)); }
  void run_until(std::size_t end) {
    for (; num_done < end; ++num_done) queue[num_done]();
  }
};
struct Event {
  Stream* stream = nullptr;
  std::size_t position = 0;
};
using Graph = std::vector<Work>;

Driver& driver() {
  static Driver instance;
  return instance;
}

namespace {

constexpr int kInvalidValue = 1, kOutOfMemory = 2, kIllegalAddress = 700, kCaptureUnsupported = 900;

std::map<void*, std::size_t>& buffers() {
  static std::map<void*, std::size_t> instance;
  return instance;
}

int result_of(const char* function) { return driver().failing_function == function ? kIllegalAddress : 0; }

// Whether [p, p + bytes) lies in a buffer that is allocated.
bool is_device(const void* p, std::size_t bytes) {
  for (const auto& [begin, size] : buffers()) {
    const char* first = static_cast<const char*>(begin);
    if (p >= first && static_cast<const char*>(p) + bytes <= first + size) return true;
  }
  return false;
}

int copy(void* to, const void* from, std::size_t bytes, Stream* stream) {
  stream->push([=] { std::memcpy(to, from, bytes); });
  return 0;
}

}  // namespace
}  // namespace quire::imitated

using namespace quire::imitated;
using Address = unsigned long long;

extern "C" {

int cuInit(unsigned) { return result_of("cuInit"); }
// The compiler looks here when a driver is loaded, and does not look at the result.
int cuGetExportTable(const void** table, const void*) {
  static const std::size_t kSizeOfNone[64] = {};
  *table = kSizeOfNone;
  return kInvalidValue;
}
int cuDriverGetVersion(int* version) {
  *version = driver().version;
  return 0;
}
int cuGetErrorName(int error, const char** name) {
  *name = error == kOutOfMemory      ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == kIllegalAddress ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                                     : nullptr;
  return *name == nullptr ? kInvalidValue : 0;
}
int cuGetErrorString(int error, const char** text) {
  *text = error == kIllegalAddress ? "an illegal memory access was encountered" : "out of memory";
  return 0;
}
int cuDeviceGetCount(int* count) {
  *count = 1;
  return 0;
}
int cuDeviceGet(int* device, int idx) {
  *device = 40 + idx;
  return 0;
}
int cuDeviceGetName(char* name, int bytes, int) {
  std::strncpy(name, "Imitated GPU", static_cast<std::size_t>(bytes));
  return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 13   ? 1'500'000
           : attribute == 16 ? 4
           : attribute == 75 ? driver().sm / 10
                             : driver().sm % 10;
  return 0;
}
int cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  *bytes = driver().memory_bytes;
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int) {
  *context = &driver();
  ++driver().num_contexts;
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) {
  --driver().num_contexts;
  return 0;
}
int cuCtxSetCurrent(void* context) { return context == &driver() ? 0 : kInvalidValue; }
int cuCtxGetDevice(int* device) {
  *device = driver().device_of_context;
  return 0;
}
int cuMemGetInfo_v2(std::size_t* free_bytes, std::size_t* total_bytes) {
  *total_bytes = driver().memory_bytes;
  *free_bytes = driver().memory_bytes - driver().allocated_bytes;
  return 0;
}
int cuMemAlloc_v2(Address* address, std::size_t bytes) {
  if (bytes > driver().memory_bytes - driver().allocated_bytes) return kOutOfMemory;
  void* p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  *address = reinterpret_cast<Address>(p);
  buffers()[p] = bytes;
  driver().allocated_bytes += bytes;
  ++driver().num_buffers;
  return 0;
}
int cuMemFree_v2(Address address) {
  const auto found = buffers().find(reinterpret_cast<void*>(address));
  if (found == buffers().end()) return kInvalidValue;
  driver().allocated_bytes -= found->second;
  std::free(found->first);
  buffers().erase(found);
  --driver().num_buffers;
  return 0;
}
int cuMemHostAlloc(void** p, std::size_t bytes, unsigned) {
  *p = std::malloc(bytes);
  return 0;
}
int cuMemFreeHost(void* p) {
  std::free(p);
  return 0;
}
int cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t bytes, Stream* stream) {
  void* p = reinterpret_cast<void*>(to);
  return is_device(p, bytes) ? copy(p, from, bytes, stream) : kInvalidValue;
}
int cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t bytes, Stream* stream) {
  const void* p = reinterpret_cast<const void*>(from);
  return is_device(p, bytes) ? copy(to, p, bytes, stream) : kInvalidValue;
}
int cuMemsetD8Async(Address to, unsigned char value, std::size_t bytes, Stream* stream) {
  void* p = reinterpret_cast<void*>(to);
  if (!is_device(p, bytes)) return kInvalidValue;
  stream->push([=] { std::memset(p, value, bytes); });
  return 0;
}
int cuStreamCreate(Stream** stream, unsigned) {
  *stream = new Stream;
  ++driver().num_streams;
  return 0;
}
int cuStreamDestroy_v2(Stream* stream) {
  delete stream;
  --driver().num_streams;
  return 0;
}
int cuStreamGetCtx(Stream*, void** context) {
  *context = &driver();
  return result_of("cuStreamGetCtx");
}
int cuStreamSynchronize(Stream* stream) {
  if (stream->recorded != nullptr) return kCaptureUnsupported;
  ++driver().num_stream_waits;
  stream->run_until(stream->queue.size());
  return result_of("cuStreamSynchronize");
}
int cuStreamBeginCapture_v2(Stream* stream, int) {
  stream->recorded = new Graph;
  ++driver().num_graphs;
  return 0;
}
int cuStreamEndCapture(Stream* stream, Graph** graph) {
  *graph = stream->recorded;
  stream->recorded = nullptr;
  return 0;
}
int cuGraphInstantiateWithFlags(Graph** exec, Graph* graph, unsigned long long) {
  *exec = new Graph(*graph);
  ++driver().num_graphs;
  return 0;
}
int cuGraphLaunch(Graph* exec, Stream* stream) {
  for (const Work& work : *exec) stream->push(work);
  return 0;
}
int cuGraphDestroy(Graph* graph) {
  delete graph;
  --driver().num_graphs;
  return 0;
}
int cuGraphExecDestroy(Graph* exec) { return cuGraphDestroy(exec); }
int cuEventCreate(Event** event, unsigned) {
  *event = new Event;
  ++driver().num_events;
  return 0;
}
int cuEventDestroy_v2(Event* event) {
  delete event;
  --driver().num_events;
  return 0;
}
int cuEventRecord(Event* event, Stream* stream) {
  *event = {stream, stream->queue.size()};
  return 0;
}
int cuEventSynchronize(Event* event) {
  if (event->stream != nullptr) event->stream->run_until(event->position);
  return 0;
}
int cuEventElapsedTime(float* milliseconds, Event* start, Event* end) {
  if (end->stream->num_done < end->position) return kInvalidValue;
  *milliseconds = static_cast<float>(end->position - start->position);
  return 0;
}
int cuModuleLoadData(void** module, const void* image) {
  if (std::memcmp(image,
                  "\x7f"
                  "ELF",
                  4) != 0)
    return kInvalidValue;
  *module = &driver();
  ++driver().num_modules;
  return result_of("cuModuleLoadData");
}
int cuModuleUnload(void*) {
  --driver().num_modules;
  return 0;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = module;
  return std::strcmp(name, "quire_entry") == 0 ? 0 : kInvalidValue;
}
int cuFuncSetAttribute(void*, int, int) { return 0; }
struct LaunchAttribute {
  int id, unused, value[16];
};
int cuLaunchKernel(void*, unsigned grid, unsigned, unsigned, unsigned threads, unsigned, unsigned,
                   unsigned shared_bytes, Stream* stream, void** params, void**) {
  Launch launch{
      grid, threads, shared_bytes, params[0], std::vector<unsigned char>(8), *static_cast<void**>(params[1])};
  std::memcpy(launch.params_head.data(), params[0], launch.params_head.size());
  stream->push([launch] { driver().launches.push_back(launch); });
  return result_of("cuLaunchKernel");
}
struct LaunchConfig {
  unsigned grid[3], threads[3], shared_bytes;
  Stream* stream;
  const LaunchAttribute* attributes;
  unsigned num_attributes;
};
int cuLaunchKernelEx(const LaunchConfig* config, void* function, void** params, void** extra) {
  if (config->num_attributes != 1 || config->attributes->id != 6 || config->attributes->value[0] != 1) return kInvalidValue;
  ++driver().num_overlapping;
  return cuLaunchKernel(function, config->grid[0], config->grid[1], config->grid[2], config->threads[0], config->threads[1],
                        config->threads[2], config->shared_bytes, config->stream, params, extra);
}

}  // extern "C"

namespace quire::imitated {

void make_stream(void** stream) { cuStreamCreate(reinterpret_cast<Stream**>(stream), 0); }
void run_stream(void* stream) { cuStreamSynchronize(static_cast<Stream*>(stream)); }
void destroy_stream(void* stream) { cuStreamDestroy_v2(static_cast<Stream*>(stream)); }

}  // namespace quire::imitated
