// Memory, copies and recorded launches of a GPU, on any driver.
#pragma once

#include <memory>
#include <vector>

#include "targets/jit/gpu_api.h"

namespace quire {

// Allocates device memory, uninitialised. Throws Error{kExhausted} with the size and what is free.
std::unique_ptr<Buffer> allocate_gpu(std::shared_ptr<GpuApi> api, std::size_t bytes);

// Copies through a ring of pinned slots. A copy to the device returns as soon as its bytes are in the ring.
class StagingRing {
 public:
  explicit StagingRing(std::shared_ptr<GpuApi> api);
  ~StagingRing();
  StagingRing(const StagingRing&) = delete;
  StagingRing& operator=(const StagingRing&) = delete;

  void to_device(std::byte* to, const void* from, std::size_t bytes);
  void to_host(void* to, const std::byte* from, std::size_t bytes);  // waits for all work before it

 private:
  struct Slot {
    std::byte* data = nullptr;
    GpuEvent* is_free = nullptr;
  };
  Slot& next_slot();  // waits until its last copy has ended

  std::shared_ptr<GpuApi> api_;
  void* pinned_ = nullptr;
  std::vector<Slot> slots_;
  std::size_t next_idx_ = 0;
};

// A copy to pinned memory of its own, followed by an event.
class GpuHostCopy : public HostCopy {
 public:
  GpuHostCopy(std::shared_ptr<GpuApi> api, std::size_t max_bytes);
  ~GpuHostCopy() override;
  GpuHostCopy(const GpuHostCopy&) = delete;
  GpuHostCopy& operator=(const GpuHostCopy&) = delete;

  void start(const std::byte* from, std::size_t bytes) override;
  const std::byte* wait() override;

 private:
  std::shared_ptr<GpuApi> api_;
  const std::size_t max_bytes_;
  void* pinned_ = nullptr;
  GpuEvent* has_arrived_ = nullptr;
};

// Recorded launches. The device that made this outlives it.
class RecordedGraph : public Graph {
 public:
  // Calls `launches` and records what it launches.
  RecordedGraph(std::shared_ptr<GpuApi> api, const std::function<void()>& launches);
  ~RecordedGraph() override;
  RecordedGraph(const RecordedGraph&) = delete;
  RecordedGraph& operator=(const RecordedGraph&) = delete;

  // The cost that each launch adds to the counters of `device`.
  void set_cost(LaunchCost cost, Device& device) { cost_ = cost, device_ = &device; }
  void launch() override;

 private:
  std::shared_ptr<GpuApi> api_;
  GpuGraph* graph_ = nullptr;
  LaunchCost cost_;
  Device* device_ = nullptr;
};

// The time that what `work` launches takes, by events on the device before and after it. Waits for its end.
double time_on_gpu_us(GpuApi& api, const std::function<void()>& work);

}  // namespace quire
