// --device, --cpu-isa and --threads, which every command takes that computes something.
#pragma once

#include <memory>
#include <string>

#include "apps/command.h"
#include "device/registry.h"

namespace quire {

struct DeviceFlags {
  std::string device = "cpu";
  DeviceOptions options;
};

void add_device_flags(CLI::App& command, DeviceFlags& flags);

// Opens the device and logs what it is.
std::unique_ptr<Device> open_device(const Program& program, const DeviceFlags& flags);

// "cpu x86-64-v3, 2 threads, AMD EPYC ..."
std::string describe(const DeviceCaps& caps);

}  // namespace quire
