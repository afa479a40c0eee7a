#include "targets/jit/gpu_memory.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace quire {
namespace {

// Slots are large enough that the fixed cost of a copy is small, and there are enough of them for the plans
// of several steps.
constexpr std::size_t kSlotBytes = 512u << 10;
constexpr std::size_t kNumSlots = 16;

class GpuBuffer : public Buffer {
 public:
  GpuBuffer(std::shared_ptr<GpuApi> api, std::size_t bytes) : api_(std::move(api)), bytes_(bytes) {
    if (bytes == 0) return;
    api_->bind();
    data_ = api_->allocate(bytes);
  }
  ~GpuBuffer() override {
    if (data_ != nullptr) api_->release(data_);
  }
  GpuBuffer(const GpuBuffer&) = delete;
  GpuBuffer& operator=(const GpuBuffer&) = delete;

  std::byte* data() const override { return data_; }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::shared_ptr<GpuApi> api_;
  std::byte* data_ = nullptr;
  std::size_t bytes_;
};

class OwnEvent {
 public:
  explicit OwnEvent(GpuApi& api) : api_(api), event_(api.make_event(true)) {}
  ~OwnEvent() { api_.destroy(event_); }
  OwnEvent(const OwnEvent&) = delete;
  OwnEvent& operator=(const OwnEvent&) = delete;
  GpuEvent* get() const { return event_; }

 private:
  GpuApi& api_;
  GpuEvent* event_;
};

}  // namespace

std::unique_ptr<Buffer> allocate_gpu(std::shared_ptr<GpuApi> api, std::size_t bytes) {
  return std::make_unique<GpuBuffer>(std::move(api), bytes);
}

StagingRing::StagingRing(std::shared_ptr<GpuApi> api) : api_(std::move(api)) {
  api_->bind();
  pinned_ = api_->pin(kNumSlots * kSlotBytes, "copies");
  try {
    for (std::size_t i = 0; i < kNumSlots; ++i) {
      slots_.push_back({static_cast<std::byte*>(pinned_) + i * kSlotBytes, api_->make_event(false)});
    }
  } catch (...) {  // the destructor does not run
    for (const Slot& slot : slots_) api_->destroy(slot.is_free);
    api_->unpin(pinned_);
    throw;
  }
}

StagingRing::~StagingRing() {
  for (const Slot& slot : slots_) api_->destroy(slot.is_free);
  api_->unpin(pinned_);
}

StagingRing::Slot& StagingRing::next_slot() {
  Slot& slot = slots_[next_idx_++ % kNumSlots];
  api_->wait(slot.is_free, "wait for an earlier copy to the device");
  return slot;
}

void StagingRing::to_device(std::byte* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  api_->bind();
  for (std::size_t done = 0; done < bytes; done += kSlotBytes) {
    const std::size_t part = std::min(kSlotBytes, bytes - done);
    Slot& slot = next_slot();
    std::memcpy(slot.data, static_cast<const std::byte*>(from) + done, part);
    api_->copy_to_device(to + done, slot.data, part);
    api_->record(slot.is_free);
  }
}

void StagingRing::to_host(void* to, const std::byte* from, std::size_t bytes) {
  if (bytes == 0) return;
  api_->bind();
  for (std::size_t done = 0; done < bytes; done += kSlotBytes) {
    const std::size_t part = std::min(kSlotBytes, bytes - done);
    const Slot& slot = next_slot();
    api_->copy_to_host(slot.data, from + done, part);
    api_->synchronize();
    std::memcpy(static_cast<std::byte*>(to) + done, slot.data, part);
  }
}

GpuHostCopy::GpuHostCopy(std::shared_ptr<GpuApi> api, std::size_t max_bytes)
    : api_(std::move(api)), max_bytes_(max_bytes) {
  api_->bind();
  pinned_ = api_->pin(std::max<std::size_t>(max_bytes, 1), "results");
  try {
    has_arrived_ = api_->make_event(false);
  } catch (...) {
    api_->unpin(pinned_);
    throw;
  }
}

GpuHostCopy::~GpuHostCopy() {
  api_->destroy(has_arrived_);
  api_->unpin(pinned_);
}

void GpuHostCopy::start(const std::byte* from, std::size_t bytes) {
  QUIRE_CHECK_KIND(kInternal, bytes <= max_bytes_, "a copy of {} bytes into {}", bytes, max_bytes_);
  api_->bind();
  api_->copy_to_host(pinned_, from, bytes);
  api_->record(has_arrived_);
}

const std::byte* GpuHostCopy::wait() {
  api_->bind();
  api_->wait(has_arrived_, "finish the launches of a step");
  return static_cast<const std::byte*>(pinned_);
}

RecordedGraph::RecordedGraph(std::shared_ptr<GpuApi> api, const std::function<void()>& launches)
    : api_(std::move(api)) {
  api_->bind();
  api_->begin_recording();
  try {
    launches();
  } catch (...) {
    api_->end_recording(false);
    throw;
  }
  graph_ = api_->end_recording(true);
}

RecordedGraph::~RecordedGraph() { api_->destroy(graph_); }

void RecordedGraph::launch() {
  api_->bind();
  device_->add_cost(cost_);
  api_->launch(graph_);
}

double time_on_gpu_us(GpuApi& api, const std::function<void()>& work) {
  api.bind();
  const OwnEvent start(api), end(api);
  api.record(start.get());
  work();
  api.record(end.get());
  api.wait(end.get(), "finish the launches that are timed");
  return api.elapsed_us(start.get(), end.get());
}

}  // namespace quire
