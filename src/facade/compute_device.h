// What stands behind quire::ComputeDevice.
#pragma once

#include <memory>

#include "device/device.h"
#include "quire/attention.h"

namespace quire {

struct ComputeDevice::Impl {
  std::unique_ptr<Device> device;
  DeviceKind memory = DeviceKind::kHost;
  int device_idx = 0;
  bool is_host =
      true;  // the host may read what tensors point to, and launches have been done when they return
};

// The public face of a device that is open.
ComputeDevice face_of(std::unique_ptr<Device> device, int device_idx);

}  // namespace quire
