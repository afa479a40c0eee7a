// One GPU as a program uses it: its context, one stream, and memory with copies ordered on that stream.
#pragma once

#include <memory>
#include <vector>

#include "device/device.h"
#include "targets/cuda/driver.h"

namespace quire {

// The device's primary context, shared with other libraries of the process, and a stream of its own.
class CudaContext {
 public:
  CudaContext(std::shared_ptr<const Driver> driver, int device_idx);
  ~CudaContext();
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  // Makes the context the calling thread's: before anything else is called.
  void bind() const;

  const Driver& driver() const { return *driver_; }
  const CudaFunctions& call() const { return driver_->call(); }
  const CudaDeviceFacts& facts() const { return facts_; }
  CuContextHandle* handle() const { return context_; }
  CuStreamHandle* stream() const { return stream_; }
  void synchronize() const;

 private:
  std::shared_ptr<const Driver> driver_;
  const CudaDeviceFacts facts_;
  int device_ = 0;
  CuContextHandle* context_ = nullptr;
  CuStreamHandle* stream_ = nullptr;
};

// Device memory. Throws Error{kExhausted} with what was asked for and what is free. The bytes are not set.
std::unique_ptr<Buffer> allocate_cuda(std::shared_ptr<const CudaContext> context, std::size_t bytes);

inline CuAddress cuda_address(const std::byte* p) { return reinterpret_cast<CuAddress>(p); }

// Copies through a ring of pinned slots: one to the device returns as soon as its bytes are in the ring.
class StagingRing {
 public:
  explicit StagingRing(std::shared_ptr<const CudaContext> context);
  ~StagingRing();
  StagingRing(const StagingRing&) = delete;
  StagingRing& operator=(const StagingRing&) = delete;

  void to_device(std::byte* to, const void* from, std::size_t bytes);
  void to_host(void* to, const std::byte* from, std::size_t bytes);  // waits for all work before it

 private:
  struct Slot {
    std::byte* data = nullptr;
    CuEventHandle* is_free = nullptr;
  };
  Slot& next_slot();  // waits until its last copy has ended

  std::shared_ptr<const CudaContext> context_;
  void* pinned_ = nullptr;
  std::vector<Slot> slots_;
  std::size_t next_idx_ = 0;
};

// A copy into pinned memory of its own, with an event behind it.
class CudaHostCopy : public HostCopy {
 public:
  CudaHostCopy(std::shared_ptr<const CudaContext> context, std::size_t max_bytes);
  ~CudaHostCopy() override;
  CudaHostCopy(const CudaHostCopy&) = delete;
  CudaHostCopy& operator=(const CudaHostCopy&) = delete;

  void start(const std::byte* from, std::size_t bytes) override;
  const std::byte* wait() override;

 private:
  std::shared_ptr<const CudaContext> context_;
  const std::size_t max_bytes_;
  void* pinned_ = nullptr;
  CuEventHandle* has_arrived_ = nullptr;
};

// Recorded launches. The device that made them outlives it.
class CudaGraph : public Graph {
 public:
  // Records what `launches` puts on the context's stream.
  CudaGraph(std::shared_ptr<const CudaContext> context, const std::function<void()>& launches);
  ~CudaGraph() override;
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  // What `device` counts at each launch.
  void set_cost(LaunchCost cost, Device& device) { cost_ = cost, device_ = &device; }
  void launch() override;

 private:
  std::shared_ptr<const CudaContext> context_;
  CuGraphExecHandle* exec_ = nullptr;
  LaunchCost cost_;
  Device* device_ = nullptr;
};

}  // namespace quire
