// A GpuApi without a GPU, for targets whose kernels run on the host: launches are complete when the call
// returns. The target implements how a kernel is found and run.
#pragma once

#include <functional>
#include <vector>

#include "targets/jit/gpu_api.h"
#include "targets/jit/memory_map.h"

namespace quire {

class HostApi : public GpuApi {
 public:
  explicit HostApi(GpuFacts facts) : facts_(std::move(facts)) {}

  const GpuFacts& facts() const override { return facts_; }
  void bind() override {}
  std::byte* allocate(std::size_t bytes) override;
  void release(std::byte* memory) override;
  void* pin(std::size_t bytes, const char* what_for) override;
  void unpin(void* memory) override;
  void memory_info(std::size_t& free_bytes, std::size_t& total_bytes) override;
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override;
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override;
  void clear(std::byte* to, std::size_t bytes) override;
  void synchronize() override {}
  GpuEvent* make_event(bool has_time) override;
  void destroy(GpuEvent* event) override;
  void record(GpuEvent* event) override;
  void wait(GpuEvent*, const char*) override {}
  double elapsed_us(GpuEvent* start, GpuEvent* end) override;
  void launch(const JitKernel& kernel, const GpuCode& code, int num_blocks, void** args) override;
  void begin_recording() override { is_recording_ = true; }
  GpuGraph* end_recording(bool is_good) override;
  void launch(GpuGraph* graph) override;
  void destroy(GpuGraph* graph) override;

 protected:
  // Runs one launch. `params` is valid until this returns; `counters` may be null.
  virtual void run(const JitKernel& kernel, const GpuCode& code, int num_blocks, const void* params,
                   int* counters) = 0;

  const MemoryMap& buffers() const { return buffers_; }

 private:
  using Recorded = std::vector<std::function<void()>>;

  const GpuFacts facts_;
  MemoryMap buffers_;
  bool is_recording_ = false;
  Recorded recorded_;
};

}  // namespace quire
