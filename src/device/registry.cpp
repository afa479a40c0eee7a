#include "device/registry.h"

#include <algorithm>

#include "base/check.h"

namespace quire {

namespace {

// Those of other targets are passed over: one set of options may serve several.
void check_settings(const TargetEntry& entry, const DeviceOptions& options) {
  for (const auto& [name, value] : options.settings) {
    if (name.rfind(entry.name + ".", 0) != 0) continue;
    const std::string own = name.substr(entry.name.size() + 1);
    const bool is_known =
        std::find(entry.settings.begin(), entry.settings.end(), own) != entry.settings.end();
    QUIRE_CHECK(is_known, "target {} has no setting \"{}\", it has: {}", entry.name, own,
                fmt::join(entry.settings, ", "));
  }
}

}  // namespace

std::unique_ptr<Device> TargetRegistry::open(const std::string& text, const DeviceOptions& given) const {
  const std::size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  DeviceOptions options = given;
  if (colon != std::string::npos) options.architecture = text.substr(colon + 1);
  std::string names;
  for (const TargetEntry& entry : entries_) {
    if (entry.name == name) {
      QUIRE_CHECK(colon == std::string::npos || entry.takes_architecture,
                  "target {} takes no architecture, got \"{}\"", name, text);
      QUIRE_CHECK(entry.takes_queue || options.queue == nullptr,
                  "target {} has no streams: it cannot launch on the caller's, {}", name, options.queue);
      check_settings(entry, options);
      const std::string reason = entry.why_absent(options);
      QUIRE_CHECK_KIND(kUnsupported, reason.empty(), "target {} cannot run here: {}", name, reason);
      return entry.open(options);
    }
    names += (names.empty() ? "" : ", ") + entry.name;
  }
  throw_error(ErrorKind::kNotFound, "no target \"{}\"; this build has: {}", name, names);
}

}  // namespace quire
