// One device for the cases that run side by side.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "device/device.h"

namespace quire {

// A view of a device that other threads use too: each call waits until no other runs. What one thread
// launches keeps its order. The device outlives the view and all buffers that come from it.
class SharedDevice : public Device {
 public:
  explicit SharedDevice(Device& device, std::shared_ptr<std::mutex> mutex = std::make_shared<std::mutex>())
      : device_(device), mutex_(std::move(mutex)) {}

  const DeviceCaps& caps() const override { return device_.caps(); }
  const AttentionTarget& attention() const override { return device_.attention(); }
  std::unique_ptr<PageLayout> page_layout(const KvFormat& format, HeadShape heads,
                                          int page_size) const override {
    return device_.page_layout(format, heads, page_size);
  }
  std::unique_ptr<WeightLayout> weight_layout(const WeightFormat& format, int out_dim,
                                              int in_dim) const override {
    return device_.weight_layout(format, out_dim, in_dim);
  }
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override;
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override;
  void synchronize() override;

 private:
  void add_kernel(const KernelVariant& variant) override;
  void start_kernel(KernelHandle kernel, const void* params, int num_work, LaunchCost cost) override;

  Device& device_;
  std::shared_ptr<std::mutex> mutex_;
  std::vector<KernelHandle> kernels_;  // of device_, by this view's handle
};

// One launch that a case makes before it reads anything back. Addresses in `params` are not memory: they only
// have the alignment of the real ones.
struct RecordedLaunch {
  KernelVariant variant;
  std::vector<std::byte> params;
  int num_work;
};

// Notes what is launched and executes nothing; the first copy to the host ends the case by throwing
// RecordingEnds. For finding out which kernels have to be compiled. Uses of the device need no lock.
class RecordingDevice : public Device {
 public:
  struct RecordingEnds {};

  explicit RecordingDevice(Device& device) : device_(device) {}

  const std::vector<RecordedLaunch>& launches() const { return launches_; }

  const DeviceCaps& caps() const override { return device_.caps(); }
  const AttentionTarget& attention() const override { return device_.attention(); }
  std::unique_ptr<PageLayout> page_layout(const KvFormat& format, HeadShape heads,
                                          int page_size) const override {
    return device_.page_layout(format, heads, page_size);
  }
  std::unique_ptr<WeightLayout> weight_layout(const WeightFormat& format, int out_dim,
                                              int in_dim) const override {
    return device_.weight_layout(format, out_dim, in_dim);
  }
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  void copy_to_device(std::byte*, const void*, std::size_t) override {}
  void copy_to_host(void*, const std::byte*, std::size_t) override { throw RecordingEnds{}; }
  void synchronize() override {}

 private:
  void add_kernel(const KernelVariant&) override {}
  void start_kernel(KernelHandle kernel, const void* params, int num_work, LaunchCost cost) override;

  Device& device_;
  std::uintptr_t next_address_ = 1 << 20;
  std::vector<RecordedLaunch> launches_;
};

}  // namespace quire
