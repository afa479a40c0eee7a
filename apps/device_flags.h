// --device and what belongs to it, which every command takes that computes something.
#pragma once

#include <memory>
#include <string>

#include "apps/command.h"
#include "device/registry.h"
#include "quire/engine_options.h"

namespace quire {

struct DeviceFlags {
  std::string device = "cpu";
  DeviceOptions options;
};

void add_device_flags(CLI::App& command, DeviceFlags& flags);

// The subset of them that finds kernels: where they are kept and what compiles them.
void add_kernel_cache_flags(CLI::App& command, DeviceOptions& options);

// Copies the flags to where the engine reads them.
void set_device(const DeviceFlags& flags, EngineOptions& options);

// Opens the device and logs what it is.
std::unique_ptr<Device> open_device(const Program& program, const DeviceFlags& flags);

}  // namespace quire
