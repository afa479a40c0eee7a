// Targets by name. The application registers the ones it links; a target that cannot run here says why.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device/device.h"

namespace quire {

struct TargetEntry {
  std::string name;
  // Empty if the target can run on this machine, else the reason why not, for people.
  std::function<std::string(const DeviceOptions&)> why_absent;
  std::function<std::unique_ptr<Device>(const DeviceOptions&)> open;
  // For people, one line each: levels that `open` could be asked for, with the reason why not in brackets
  // where there is one, or the devices that are there.
  std::function<std::vector<std::string>(const DeviceOptions&)> levels;
  bool takes_architecture = false;    // can be asked for as name:architecture
  bool takes_queue = false;           // can launch into DeviceOptions::queue
  std::vector<std::string> settings;  // of DeviceOptions that it knows, without its name
};

class TargetRegistry {
 public:
  void add(TargetEntry entry) { entries_.push_back(std::move(entry)); }
  const std::vector<TargetEntry>& entries() const { return entries_; }

  // Opens a target by name, or by name:architecture. Throws Error{kNotFound} that lists the names, or
  // Error{kUnsupported} with the reason.
  std::unique_ptr<Device> open(const std::string& text, const DeviceOptions& options = {}) const;

 private:
  std::vector<TargetEntry> entries_;
};

}  // namespace quire
