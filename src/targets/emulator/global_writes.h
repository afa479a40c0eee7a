// What the blocks of a launch wrote to global memory, and what they told each other through counters: so that
// a block that reads another block's results before they are known to be there is found, whatever the timing.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "targets/emulator/clocks.h"

namespace quire {

class GlobalWrites {
 public:
  struct Writer {
    int block, thread;
    unsigned tick;
  };
  using Known = std::map<int, Clocks::Ticks>;  // by block

  void note(const void* p, std::size_t bytes, Writer writer);
  std::optional<Writer> find(const void* p) const;

  // An atomic operation: `known` goes to the counter, what the counter has comes back, the operation is
  // performed between.
  template <class F>
  auto exchange(const void* counter, Known& known, const F& operation) {
    const std::scoped_lock lock(mutex_);
    Known& board = boards_[address(counter)];
    join(board, known);
    known = board;
    return operation();
  }

 private:
  static constexpr std::uintptr_t kGranuleBytes = 4;
  static std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
  static void join(Known& to, const Known& from);

  mutable std::mutex mutex_;
  std::unordered_map<std::uintptr_t, Writer> writers_;  // by granule
  std::unordered_map<std::uintptr_t, Known> boards_;    // by address of the counter
};

}  // namespace quire
