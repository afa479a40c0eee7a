#include "targets/jit/host_api.h"

#include <sys/mman.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "device/memory_limit.h"

namespace quire {
namespace {

using Time = std::chrono::steady_clock::time_point;

Time& time_of(GpuEvent* event) { return *reinterpret_cast<Time*>(event); }

}  // namespace

std::byte* HostApi::allocate(std::size_t bytes) {
  void* p =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  QUIRE_CHECK_KIND(kExhausted, p != MAP_FAILED, "cannot allocate {} bytes of memory: {}", bytes,
                   std::strerror(errno));
  buffers_.add(p, bytes);
  return static_cast<std::byte*>(p);
}

void HostApi::release(std::byte* memory) { ::munmap(memory, buffers_.remove(memory)); }

void* HostApi::pin(std::size_t bytes, const char*) { return ::operator new(bytes); }
void HostApi::unpin(void* memory) { ::operator delete(memory); }

void HostApi::memory_info(std::size_t& free_bytes, std::size_t& total_bytes) {
  const MemoryLimit host = host_memory();
  free_bytes = host.free_bytes;
  total_bytes = host.total_bytes;
}

void HostApi::copy_to_device(std::byte* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}
void HostApi::copy_to_host(void* to, const std::byte* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}
void HostApi::clear(std::byte* to, std::size_t bytes) { std::memset(to, 0, bytes); }

GpuEvent* HostApi::make_event(bool) { return reinterpret_cast<GpuEvent*>(new Time); }
void HostApi::destroy(GpuEvent* event) { delete &time_of(event); }
void HostApi::record(GpuEvent* event) { time_of(event) = std::chrono::steady_clock::now(); }
double HostApi::elapsed_us(GpuEvent* start, GpuEvent* end) {
  return std::chrono::duration<double, std::micro>(time_of(end) - time_of(start)).count();
}

void HostApi::launch(const JitKernel& kernel, const GpuCode& code, int num_blocks, void** args) {
  int* counters = *static_cast<int**>(args[1]);
  if (!is_recording_) return run(kernel, code, num_blocks, args[0], counters);
  const auto* params = static_cast<const std::byte*>(args[0]);
  recorded_.push_back([this, kernel, code, num_blocks, counters,
                       params = std::vector<std::byte>(params, params + kernel.params_bytes)] {
    run(kernel, code, num_blocks, params.data(), counters);
  });
}

GpuGraph* HostApi::end_recording(bool is_good) {
  is_recording_ = false;
  Recorded recorded = std::exchange(recorded_, {});
  return is_good ? reinterpret_cast<GpuGraph*>(new Recorded(std::move(recorded))) : nullptr;
}

void HostApi::launch(GpuGraph* graph) {
  for (const auto& recorded : *reinterpret_cast<Recorded*>(graph)) recorded();
}

void HostApi::destroy(GpuGraph* graph) { delete reinterpret_cast<Recorded*>(graph); }

}  // namespace quire
