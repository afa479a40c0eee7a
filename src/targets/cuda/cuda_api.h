// One NVIDIA GPU behind the shared interface: its primary context and one stream of its own, or those of a
// caller.
#pragma once

#include <memory>

#include "targets/cuda/driver.h"
#include "targets/jit/gpu_api.h"

namespace quire {

class CudaApi : public GpuApi {
 public:
  // `may_overlap`: launches carry the attribute that lets the next one start early, where the driver knows
  // it. `callers_stream`: a CUstream, which is used in its own context; null: a new one. Throws
  // Error{kInvalidArgument} for a stream of another GPU.
  CudaApi(std::shared_ptr<const Driver> driver, int device_idx, bool may_overlap, void* callers_stream);
  ~CudaApi() override;
  CudaApi(const CudaApi&) = delete;
  CudaApi& operator=(const CudaApi&) = delete;

  const GpuFacts& facts() const override { return facts_; }
  void bind() override;
  std::byte* allocate(std::size_t bytes) override;
  void release(std::byte* memory) override;
  void* pin(std::size_t bytes, const char* what_for) override;
  void unpin(void* memory) override;
  void memory_info(std::size_t& free_bytes, std::size_t& total_bytes) override;
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override;
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override;
  void clear(std::byte* to, std::size_t bytes) override;
  void synchronize() override;
  void* queue() override { return stream_; }
  GpuEvent* make_event(bool has_time) override;
  void destroy(GpuEvent* event) override;
  void record(GpuEvent* event) override;
  void wait(GpuEvent* event, const char* what_for) override;
  double elapsed_us(GpuEvent* start, GpuEvent* end) override;
  GpuCode load(const JitKernel& kernel, const CompiledKernel& code, const std::string& compiler) override;
  void unload(const GpuCode& code) override;
  void launch(const JitKernel& kernel, const GpuCode& code, int num_blocks, void** args) override;
  void begin_recording() override;
  GpuGraph* end_recording(bool is_good) override;
  void launch(GpuGraph* graph) override;
  void destroy(GpuGraph* graph) override;

 private:
  const CudaFunctions& call() const { return driver_->call(); }
  void open_own_context(int device_idx);
  void open_own_stream(int device_idx);
  void use_stream_of_caller(CuStreamHandle* stream, int device_idx);
  void settle();  // before something is given back: launches that use it may still run

  std::shared_ptr<const Driver> driver_;
  const GpuFacts facts_;
  const bool may_overlap_;
  int device_ = 0;
  CuContextHandle* context_ = nullptr;
  CuStreamHandle* stream_ = nullptr;
  bool owns_context_ = false, owns_stream_ = false;  // and gives them back
};

}  // namespace quire
