#include "facade/compute_device.h"

#include "base/check.h"
#include "targets/all/linked_targets.h"

namespace quire {
namespace {

DeviceOptions device_options(const ComputeDeviceOptions& options) {
  DeviceOptions device;
  device.device_idx = options.device_idx;
  device.cache_dir = options.kernel_cache_dir;
  device.queue = options.stream;
  device.settings = {{"cpu.threads", std::to_string(options.num_threads)},
                     {"cpu.isa", options.cpu_isa},
                     {"cuda.nvrtc", options.nvrtc_path}};
  return device;
}

DeviceKind memory_kind_of(const Device& device) {
  if (device.memory().is_host) return DeviceKind::kHost;
  QUIRE_CHECK_KIND(kUnsupported, device.caps().target == "cuda",
                   "target {} has memory of a kind that no tensor can name", device.caps().target);
  return DeviceKind::kCuda;
}

}  // namespace

ComputeDevice face_of(std::unique_ptr<Device> device, int device_idx) {
  auto impl = std::make_shared<ComputeDevice::Impl>();
  impl->memory = memory_kind_of(*device);
  impl->is_host = impl->memory == DeviceKind::kHost;
  impl->device_idx = impl->is_host ? 0 : device_idx;
  impl->device = std::move(device);
  return ComputeDevice(std::move(impl));
}

ComputeDevice ComputeDevice::open(const ComputeDeviceOptions& options) {
  auto device = linked_targets().open(options.target, device_options(options));
  QUIRE_CHECK_KIND(
      kUnsupported, !device->caps().is_emulated,
      "target {} checks every access to memory and knows its own alone: it cannot compute on a caller's",
      options.target);
  return face_of(std::move(device), options.device_idx);
}

std::string ComputeDevice::description() const { return describe(impl_->device->caps()); }
DeviceKind ComputeDevice::memory_kind() const { return impl_->memory; }
int ComputeDevice::device_idx() const { return impl_->device_idx; }
void ComputeDevice::synchronize() { impl_->device->synchronize(); }

}  // namespace quire
