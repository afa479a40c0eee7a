#include "targets/cuda/cuda_memory.h"

#include <algorithm>
#include <cstring>

namespace quire {
namespace {

// Large enough that a copy's fixed cost is small beside it, and many enough that the plans of several steps fit.
constexpr std::size_t kSlotBytes = 512u << 10;
constexpr std::size_t kNumSlots = 16;

class CudaBuffer : public Buffer {
 public:
  CudaBuffer(std::shared_ptr<const CudaContext> context, std::size_t bytes) : context_(std::move(context)), bytes_(bytes) {
    if (bytes == 0) return;
    context_->bind();
    const int result = context_->call().mem_alloc(&address_, bytes);
    if (result == 0) return;
    std::size_t free_bytes = 0, total_bytes = 0;
    context_->call().mem_get_info(&free_bytes, &total_bytes);
    context_->driver().check(result, "allocate {} bytes on {} ({} of {} are free)", bytes, context_->facts().name, free_bytes,
                             total_bytes);
  }
  ~CudaBuffer() override {
    if (address_ == 0) return;
    // Launches that use the memory may still run.
    context_->call().ctx_set_current(context_->handle());
    context_->call().stream_synchronize(context_->stream());
    context_->call().mem_free(address_);
  }
  CudaBuffer(const CudaBuffer&) = delete;
  CudaBuffer& operator=(const CudaBuffer&) = delete;

  std::byte* data() const override { return reinterpret_cast<std::byte*>(address_); }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::shared_ptr<const CudaContext> context_;
  CuAddress address_ = 0;
  std::size_t bytes_;
};

}  // namespace

CudaContext::CudaContext(std::shared_ptr<const Driver> driver, int device_idx)
    : driver_(std::move(driver)), facts_(driver_->facts(device_idx)) {
  driver_->check(call().device_get(&device_, device_idx), "get GPU {}", device_idx);
  driver_->check(call().device_primary_ctx_retain(&context_, device_), "open a context on GPU {} ({})", device_idx, facts_.name);
  // The destructor does not run for what fails here.
  const auto check_or_release = [&](int result, const char* attempt) {
    if (result != 0) call().device_primary_ctx_release(device_);
    driver_->check(result, "{} on GPU {}", attempt, device_idx);
  };
  check_or_release(call().ctx_set_current(context_), "make the context current");
  check_or_release(call().stream_create(&stream_, kCuStreamNonBlocking), "create a stream");
}

CudaContext::~CudaContext() {
  call().ctx_set_current(context_);
  call().stream_destroy(stream_);
  call().device_primary_ctx_release(device_);
}

void CudaContext::bind() const { driver_->check(call().ctx_set_current(context_), "make the context of {} current", facts_.name); }

void CudaContext::synchronize() const {
  bind();
  driver_->check(call().stream_synchronize(stream_), "finish the launches on {}", facts_.name);
}

std::unique_ptr<Buffer> allocate_cuda(std::shared_ptr<const CudaContext> context, std::size_t bytes) {
  return std::make_unique<CudaBuffer>(std::move(context), bytes);
}

StagingRing::StagingRing(std::shared_ptr<const CudaContext> context) : context_(std::move(context)), slots_(kNumSlots) {
  context_->bind();
  const CudaFunctions& call = context_->call();
  context_->driver().check(call.mem_host_alloc(&pinned_, kNumSlots * kSlotBytes, 0), "pin {} bytes of host memory for copies",
                           kNumSlots * kSlotBytes);
  for (std::size_t i = 0; i < kNumSlots; ++i) {
    slots_[i].data = static_cast<std::byte*>(pinned_) + i * kSlotBytes;
    const int result = call.event_create(&slots_[i].is_free, kCuEventDisableTiming);
    if (result == 0) continue;
    for (std::size_t j = 0; j < i; ++j) call.event_destroy(slots_[j].is_free);
    call.mem_free_host(pinned_);
    context_->driver().check(result, "create an event for copies");
  }
}

StagingRing::~StagingRing() {
  const CudaFunctions& call = context_->call();
  call.ctx_set_current(context_->handle());
  call.stream_synchronize(context_->stream());
  for (const Slot& slot : slots_) call.event_destroy(slot.is_free);
  call.mem_free_host(pinned_);
}

StagingRing::Slot& StagingRing::next_slot() {
  Slot& slot = slots_[next_idx_++ % kNumSlots];
  context_->driver().check(context_->call().event_synchronize(slot.is_free), "wait for an earlier copy to the device");
  return slot;
}

void StagingRing::to_device(std::byte* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  context_->bind();
  const CudaFunctions& call = context_->call();
  for (std::size_t done = 0; done < bytes; done += kSlotBytes) {
    const std::size_t part = std::min(kSlotBytes, bytes - done);
    Slot& slot = next_slot();
    std::memcpy(slot.data, static_cast<const std::byte*>(from) + done, part);
    context_->driver().check(call.memcpy_htod_async(cuda_address(to + done), slot.data, part, context_->stream()),
                             "copy {} bytes to device address {}", part, static_cast<const void*>(to + done));
    context_->driver().check(call.event_record(slot.is_free, context_->stream()), "record the end of a copy");
  }
}

void StagingRing::to_host(void* to, const std::byte* from, std::size_t bytes) {
  if (bytes == 0) return;
  context_->bind();
  for (std::size_t done = 0; done < bytes; done += kSlotBytes) {
    const std::size_t part = std::min(kSlotBytes, bytes - done);
    const Slot& slot = next_slot();
    const int result = context_->call().memcpy_dtoh_async(slot.data, cuda_address(from + done), part, context_->stream());
    context_->driver().check(result, "copy {} bytes from device address {}", part, static_cast<const void*>(from + done));
    context_->synchronize();
    std::memcpy(static_cast<std::byte*>(to) + done, slot.data, part);
  }
}

CudaHostCopy::CudaHostCopy(std::shared_ptr<const CudaContext> context, std::size_t max_bytes)
    : context_(std::move(context)), max_bytes_(max_bytes) {
  context_->bind();
  const CudaFunctions& call = context_->call();
  context_->driver().check(call.mem_host_alloc(&pinned_, std::max<std::size_t>(max_bytes, 1), 0),
                           "pin {} bytes of host memory for results", max_bytes);
  const int result = call.event_create(&has_arrived_, kCuEventDisableTiming);
  if (result != 0) call.mem_free_host(pinned_);
  context_->driver().check(result, "create an event for results");
}

CudaHostCopy::~CudaHostCopy() {
  const CudaFunctions& call = context_->call();
  call.ctx_set_current(context_->handle());
  call.event_synchronize(has_arrived_);
  call.event_destroy(has_arrived_);
  call.mem_free_host(pinned_);
}

void CudaHostCopy::start(const std::byte* from, std::size_t bytes) {
  QUIRE_CHECK_KIND(kInternal, bytes <= max_bytes_, "a copy of {} bytes into {}", bytes, max_bytes_);
  context_->bind();
  const CudaFunctions& call = context_->call();
  context_->driver().check(call.memcpy_dtoh_async(pinned_, cuda_address(from), bytes, context_->stream()),
                           "copy {} bytes of results from device address {}", bytes, static_cast<const void*>(from));
  context_->driver().check(call.event_record(has_arrived_, context_->stream()), "record the arrival of results");
}

const std::byte* CudaHostCopy::wait() {
  context_->bind();
  context_->driver().check(context_->call().event_synchronize(has_arrived_), "finish the launches of a step on {}",
                           context_->facts().name);
  return static_cast<const std::byte*>(pinned_);
}

CudaGraph::CudaGraph(std::shared_ptr<const CudaContext> context, const std::function<void()>& launches)
    : context_(std::move(context)) {
  const CudaFunctions& call = context_->call();
  const Driver& driver = context_->driver();
  context_->bind();
  // Relaxed: a kernel that is met here for the first time may still be loaded.
  driver.check(call.stream_begin_capture(context_->stream(), kCuCaptureRelaxed), "start recording launches");
  CuGraphHandle* graph = nullptr;
  try {
    launches();
  } catch (...) {
    call.stream_end_capture(context_->stream(), &graph);
    if (graph != nullptr) call.graph_destroy(graph);
    throw;
  }
  driver.check(call.stream_end_capture(context_->stream(), &graph), "end recording launches");
  const int result = call.graph_instantiate(&exec_, graph, 0);
  call.graph_destroy(graph);
  driver.check(result, "make a graph of the recorded launches");
}

CudaGraph::~CudaGraph() {
  context_->call().ctx_set_current(context_->handle());
  context_->call().graph_exec_destroy(exec_);
}

void CudaGraph::launch() {
  context_->bind();
  device_->add_cost(cost_);
  context_->driver().check(context_->call().graph_launch(exec_, context_->stream()), "launch a graph");
}

}  // namespace quire
