#include "targets/cuda/cuda_api.h"

namespace quire {
namespace {

CuAddress address_of(const std::byte* p) { return reinterpret_cast<CuAddress>(p); }
CuEventHandle* handle_of(GpuEvent* event) { return reinterpret_cast<CuEventHandle*>(event); }

GpuFacts gpu_facts(const CudaDeviceFacts& f) { return {"cuda", f.name, f.num_multiprocessors}; }

}  // namespace

CudaApi::CudaApi(std::shared_ptr<const Driver> driver, int device_idx, bool may_overlap, void* callers_stream)
    : driver_(std::move(driver)),
      facts_(gpu_facts(driver_->facts(device_idx))),
      may_overlap_(may_overlap && call().launch_kernel_ex != nullptr) {
  driver_->check(call().device_get(&device_, device_idx), "get GPU {}", device_idx);
  try {
    if (callers_stream == nullptr) {
      open_own_stream(device_idx);
    } else {
      use_stream_of_caller(static_cast<CuStreamHandle*>(callers_stream), device_idx);
    }
  } catch (...) {  // the destructor does not run
    if (owns_context_) call().device_primary_ctx_release(device_);
    throw;
  }
}

CudaApi::~CudaApi() {
  settle();
  if (owns_stream_) call().stream_destroy(stream_);
  if (owns_context_) call().device_primary_ctx_release(device_);
}

void CudaApi::open_own_context(int device_idx) {
  driver_->check(call().device_primary_ctx_retain(&context_, device_), "open a context on GPU {} ({})",
                 device_idx, facts_.description);
  owns_context_ = true;
  bind();
}

void CudaApi::open_own_stream(int device_idx) {
  open_own_context(device_idx);
  driver_->check(call().stream_create(&stream_, kCuStreamNonBlocking), "create a stream on GPU {}",
                 device_idx);
  owns_stream_ = true;
}

// The default streams are every context's: they are meant in the primary one, as the CUDA runtime means them.
void CudaApi::use_stream_of_caller(CuStreamHandle* stream, int device_idx) {
  const auto handle = reinterpret_cast<std::uintptr_t>(stream);
  stream_ = stream;
  if (handle == kCuStreamLegacy || handle == kCuStreamPerThread) return open_own_context(device_idx);
  driver_->check(call().stream_get_ctx(stream, &context_), "find the context of stream {}",
                 static_cast<const void*>(stream));
  bind();
  int device = 0;
  driver_->check(call().ctx_get_device(&device), "find the GPU of stream {}",
                 static_cast<const void*>(stream));
  QUIRE_CHECK(device == device_,
              "stream {} is of another GPU (the driver's device {}) than device_idx {} (its device {})",
              static_cast<const void*>(stream), device, device_idx, device_);
}

void CudaApi::settle() {
  call().ctx_set_current(context_);
  call().stream_synchronize(stream_);
}

void CudaApi::bind() {
  driver_->check(call().ctx_set_current(context_), "make the context of {} current", facts_.description);
}

void CudaApi::synchronize() {
  bind();
  driver_->check(call().stream_synchronize(stream_), "finish the launches on {}", facts_.description);
}

std::byte* CudaApi::allocate(std::size_t bytes) {
  CuAddress address = 0;
  const int result = call().mem_alloc(&address, bytes);
  if (result != 0) {
    std::size_t free_bytes = 0, total_bytes = 0;
    call().mem_get_info(&free_bytes, &total_bytes);
    driver_->check(result, "allocate {} bytes on {} ({} of {} are free)", bytes, facts_.description,
                   free_bytes, total_bytes);
  }
  return reinterpret_cast<std::byte*>(address);
}

void CudaApi::release(std::byte* memory) {
  settle();
  call().mem_free(address_of(memory));
}

void* CudaApi::pin(std::size_t bytes, const char* what_for) {
  void* memory = nullptr;
  driver_->check(call().mem_host_alloc(&memory, bytes, 0), "pin {} bytes of host memory for {}", bytes,
                 what_for);
  return memory;
}

void CudaApi::unpin(void* memory) {
  settle();
  call().mem_free_host(memory);
}

void CudaApi::memory_info(std::size_t& free_bytes, std::size_t& total_bytes) {
  driver_->check(call().mem_get_info(&free_bytes, &total_bytes), "read the free memory of {}",
                 facts_.description);
}

void CudaApi::copy_to_device(std::byte* to, const void* from, std::size_t bytes) {
  driver_->check(call().memcpy_htod_async(address_of(to), from, bytes, stream_),
                 "copy {} bytes to device address {}", bytes, static_cast<const void*>(to));
}

void CudaApi::copy_to_host(void* to, const std::byte* from, std::size_t bytes) {
  driver_->check(call().memcpy_dtoh_async(to, address_of(from), bytes, stream_),
                 "copy {} bytes from device address {}", bytes, static_cast<const void*>(from));
}

void CudaApi::clear(std::byte* to, std::size_t bytes) {
  driver_->check(call().memset_d8_async(address_of(to), 0, bytes, stream_), "clear {} bytes", bytes);
}

GpuEvent* CudaApi::make_event(bool has_time) {
  CuEventHandle* event = nullptr;
  driver_->check(call().event_create(&event, has_time ? 0 : kCuEventDisableTiming), "create an event");
  return reinterpret_cast<GpuEvent*>(event);
}

void CudaApi::destroy(GpuEvent* event) {
  call().ctx_set_current(context_);
  call().event_synchronize(handle_of(event));
  call().event_destroy(handle_of(event));
}

void CudaApi::record(GpuEvent* event) {
  driver_->check(call().event_record(handle_of(event), stream_), "record an event");
}

void CudaApi::wait(GpuEvent* event, const char* what_for) {
  driver_->check(call().event_synchronize(handle_of(event)), "{} on {}", what_for, facts_.description);
}

double CudaApi::elapsed_us(GpuEvent* start, GpuEvent* end) {
  float milliseconds = 0;
  driver_->check(call().event_elapsed_time(&milliseconds, handle_of(start), handle_of(end)), "read a time");
  return 1e3 * milliseconds;
}

GpuCode CudaApi::load(const JitKernel& kernel, const CompiledKernel& code, const std::string& compiler) {
  CuModuleHandle* module = nullptr;
  driver_->check(call().module_load_data(&module, code.binary.data()),
                 "load kernel {} ({} bytes by {}) on {} with a driver for CUDA {}", code.name,
                 code.binary.size(), compiler, facts_.description, cuda_version_text(driver_->version()));
  GpuCode loaded{reinterpret_cast<GpuModule*>(module)};
  try {
    CuFunctionHandle* function = nullptr;
    driver_->check(call().module_get_function(&function, module, "quire_entry"),
                   "find the entry of kernel {}", code.name);
    driver_->check(
        call().func_set_attribute(function, kCuFunctionMaxDynamicSharedBytes, kernel.shape.shared_bytes),
        "give kernel {} {} bytes of shared memory", code.name, kernel.shape.shared_bytes);
    if (kernel.persistent) {  // or the driver leaves room for fewer blocks than there should be
      driver_->check(call().func_set_attribute(function, kCuFunctionSharedCarveout, 100),
                     "give kernel {} all shared memory", code.name);
    }
    loaded.function = reinterpret_cast<GpuFunction*>(function);
  } catch (...) {
    unload(loaded);
    throw;
  }
  return loaded;
}

void CudaApi::unload(const GpuCode& code) {
  settle();
  call().module_unload(reinterpret_cast<CuModuleHandle*>(code.module));
}

void CudaApi::launch(const JitKernel& kernel, const GpuCode& code, int num_blocks, void** args) {
  auto* function = reinterpret_cast<CuFunctionHandle*>(code.function);
  const auto blocks = static_cast<unsigned>(num_blocks),
             threads = static_cast<unsigned>(kernel.shape.threads),
             shared_bytes = static_cast<unsigned>(kernel.shape.shared_bytes);
  int result = 0;
  if (may_overlap_) {
    const CuLaunchAttribute attribute{kCuLaunchMayOverlap, 1, {}};
    const CuLaunchConfig config{blocks, 1, 1, threads, 1, 1, shared_bytes, stream_, &attribute, 1};
    result = call().launch_kernel_ex(&config, function, args, nullptr);
  } else {
    result =
        call().launch_kernel(function, blocks, 1, 1, threads, 1, 1, shared_bytes, stream_, args, nullptr);
  }
  driver_->check(result, "launch kernel {} ({} blocks of {} threads, {} bytes of shared memory each)",
                 kernel.name, num_blocks, kernel.shape.threads, kernel.shape.shared_bytes);
}

// The relaxed mode allows loading a kernel that is launched for the first time while recording.
void CudaApi::begin_recording() {
  driver_->check(call().stream_begin_capture(stream_, kCuCaptureRelaxed), "start recording launches");
}

GpuGraph* CudaApi::end_recording(bool is_good) {
  CuGraphHandle* graph = nullptr;
  const int ended = call().stream_end_capture(stream_, &graph);
  if (!is_good) {
    if (graph != nullptr) call().graph_destroy(graph);
    return nullptr;
  }
  driver_->check(ended, "end recording launches");
  CuGraphExecHandle* exec = nullptr;
  const int result = call().graph_instantiate(&exec, graph, 0);
  call().graph_destroy(graph);
  driver_->check(result, "make a graph of the recorded launches");
  return reinterpret_cast<GpuGraph*>(exec);
}

void CudaApi::launch(GpuGraph* graph) {
  driver_->check(call().graph_launch(reinterpret_cast<CuGraphExecHandle*>(graph), stream_), "launch a graph");
}

void CudaApi::destroy(GpuGraph* graph) {
  call().ctx_set_current(context_);
  call().graph_exec_destroy(reinterpret_cast<CuGraphExecHandle*>(graph));
}

}  // namespace quire
