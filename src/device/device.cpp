#include "device/device.h"

#include <chrono>

#include "base/check.h"
#include "device/memory_limit.h"

namespace quire {
namespace {

class FunctionGraph : public Graph {
 public:
  explicit FunctionGraph(std::function<void()> launches) : launches_(std::move(launches)) {}
  void launch() override { launches_(); }

 private:
  std::function<void()> launches_;
};

class InstantCopy : public HostCopy {
 public:
  InstantCopy(Device& device, std::size_t max_bytes) : device_(device), bytes_(max_bytes) {}
  void start(const std::byte* from, std::size_t bytes) override {
    QUIRE_CHECK_KIND(kInternal, bytes <= bytes_.size(), "a copy of {} bytes into {}", bytes, bytes_.size());
    device_.copy_to_host(bytes_.data(), from, bytes);
  }
  const std::byte* wait() override { return bytes_.data(); }

 private:
  Device& device_;
  std::vector<std::byte> bytes_;
};

}  // namespace

std::unique_ptr<HostCopy> Device::make_host_copy(std::size_t max_bytes) { return std::make_unique<InstantCopy>(*this, max_bytes); }

// Free is what the kernel says can be had without swapping and without leaving the process's control groups.
DeviceMemory Device::memory() const {
  const MemoryLimit host = host_memory();
  DeviceMemory memory;
  memory.is_host = true;
  memory.total_bytes = host.total_bytes;
  memory.free_bytes = host.free_bytes;
  return memory;
}

std::unique_ptr<Graph> Device::capture(const std::function<void()>& launches) {
  return std::make_unique<FunctionGraph>(launches);
}

double Device::time_us(const std::function<void()>& work) {
  synchronize();
  const auto start = std::chrono::steady_clock::now();
  work();
  synchronize();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

void Device::prepare(const std::function<void()>&) {}

DeviceCaps Device::attention_caps(const AttentionClass&) const { return caps(); }

}  // namespace quire
