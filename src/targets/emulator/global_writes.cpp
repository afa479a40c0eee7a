#include "targets/emulator/global_writes.h"

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

void GlobalWrites::leave(int block) {
  const std::scoped_lock lock(mutex_);
  is_running_[static_cast<std::size_t>(block)] = false;
  if (turn_ == block) pass_turn();
}

// To the next block that runs, which may be the same one.
void GlobalWrites::pass_turn() {
  const int num_blocks = static_cast<int>(is_running_.size());
  for (int i = 1; i <= num_blocks; ++i) {
    const int next = (turn_ + i) % num_blocks;
    if (!is_running_[static_cast<std::size_t>(next)]) continue;
    turn_ = next;
    break;
  }
  turn_changed_.notify_all();
}

void GlobalWrites::join(Known& to, const Known& from) {
  for (const auto& [block, ticks] : from) Clocks::join(to[block], ticks);
}

}  // namespace quire
