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
  std::function<std::string()> why_absent;
  std::function<std::unique_ptr<Device>(const DeviceOptions&)> open;
  // Levels or architectures that `open` could be asked for, with the reason why not in brackets where there is one.
  std::function<std::vector<std::string>()> levels;
};

class TargetRegistry {
 public:
  void add(TargetEntry entry) { entries_.push_back(std::move(entry)); }
  const std::vector<TargetEntry>& entries() const { return entries_; }

  // Opens a target by name. Throws Error{kNotFound} that lists the names, or Error{kUnsupported} with the reason.
  std::unique_ptr<Device> open(const std::string& name, const DeviceOptions& options = {}) const;

 private:
  std::vector<TargetEntry> entries_;
};

}  // namespace quire
