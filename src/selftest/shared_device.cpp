#include "selftest/shared_device.h"

#include "kernels/catalogue.h"

namespace quire {
namespace {

class SharedBuffer : public Buffer {
 public:
  SharedBuffer(std::unique_ptr<Buffer> buffer, std::shared_ptr<std::mutex> mutex)
      : buffer_(std::move(buffer)), mutex_(std::move(mutex)) {}
  ~SharedBuffer() override {
    const std::lock_guard lock(*mutex_);
    buffer_.reset();
  }
  SharedBuffer(const SharedBuffer&) = delete;
  SharedBuffer& operator=(const SharedBuffer&) = delete;
  std::byte* data() const override { return buffer_->data(); }
  std::size_t bytes() const override { return buffer_->bytes(); }

 private:
  std::unique_ptr<Buffer> buffer_;
  std::shared_ptr<std::mutex> mutex_;
};

// An address without memory.
class NoBuffer : public Buffer {
 public:
  NoBuffer(std::uintptr_t address, std::size_t bytes) : address_(address), bytes_(bytes) {}
  std::byte* data() const override { return reinterpret_cast<std::byte*>(address_); }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::uintptr_t address_;
  std::size_t bytes_;
};

}  // namespace

std::unique_ptr<Buffer> SharedDevice::allocate(std::size_t bytes) {
  const std::lock_guard lock(*mutex_);
  return std::make_unique<SharedBuffer>(device_.allocate(bytes), mutex_);
}

void SharedDevice::copy_to_device(std::byte* to, const void* from, std::size_t bytes) {
  const std::lock_guard lock(*mutex_);
  device_.copy_to_device(to, from, bytes);
}

void SharedDevice::copy_to_host(void* to, const std::byte* from, std::size_t bytes) {
  const std::lock_guard lock(*mutex_);
  device_.copy_to_host(to, from, bytes);
}

void SharedDevice::synchronize() {
  const std::lock_guard lock(*mutex_);
  device_.synchronize();
}

void SharedDevice::add_kernel(const KernelVariant& variant) {
  const std::lock_guard lock(*mutex_);
  kernels_.push_back(device_.resolve(variant));
}

void SharedDevice::start_kernel(KernelHandle kernel, const void* params, int num_work, LaunchCost cost) {
  const std::lock_guard lock(*mutex_);
  device_.launch(kernels_[static_cast<std::size_t>(kernel.idx)], params, num_work, cost);
}

std::unique_ptr<Buffer> RecordingDevice::allocate(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;  // of a GPU's allocations
  const std::uintptr_t address = next_address_;
  next_address_ += (bytes / kAlignment + 1) * kAlignment;
  return std::make_unique<NoBuffer>(address, bytes);
}

void RecordingDevice::start_kernel(KernelHandle kernel, const void* params, int num_work, LaunchCost) {
  const KernelVariant& variant = variant_of(kernel);
  const auto* bytes = static_cast<const std::byte*>(params);
  launches_.push_back({variant, {bytes, bytes + facts_of(kernel_of(variant)).params_bytes}, num_work});
}

}  // namespace quire
