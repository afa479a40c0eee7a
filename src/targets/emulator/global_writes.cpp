#include "targets/emulator/global_writes.h"

#include <algorithm>

namespace quire {

void GlobalWrites::note(const void* p, std::size_t bytes, Writer writer) {
  const std::scoped_lock lock(mutex_);
  for (std::uintptr_t g = address(p) / kGranuleBytes; g <= (address(p) + bytes - 1) / kGranuleBytes; ++g)
    writers_[g] = writer;
}

std::optional<GlobalWrites::Writer> GlobalWrites::find(const void* p) const {
  const std::scoped_lock lock(mutex_);
  const auto found = writers_.find(address(p) / kGranuleBytes);
  if (found == writers_.end()) return {};
  return found->second;
}

void GlobalWrites::join(Known& to, const Known& from) {
  for (const auto& [block, ticks] : from) {
    Clocks::Ticks& known = to[block];
    known.resize(std::max(known.size(), ticks.size()));
    for (std::size_t i = 0; i < ticks.size(); ++i) known[i] = std::max(known[i], ticks[i]);
  }
}

}  // namespace quire
