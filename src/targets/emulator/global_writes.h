// What the blocks of a launch have written to global memory, and what they know of each other through
// counters. It finds a block that reads another block's results before a counter has told it that they are
// there, whatever the timing. Blocks add to counters in turns, so that which block takes which item of a
// queue, and every finding, is the same in every run.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "targets/emulator/clocks.h"

namespace quire {

class GlobalWrites {
 public:
  struct Writer {
    int block, thread;
    unsigned tick;
  };
  using Known = std::map<int, Clocks::Ticks>;  // by block

  explicit GlobalWrites(int num_blocks) : is_running_(static_cast<std::size_t>(num_blocks), true) {}

  void note(const void* p, std::size_t bytes, Writer writer);
  std::optional<Writer> find(const void* p) const;

  // An atomic operation, in this block's turn. The counter learns what this block knows (`known`) and, after
  // the operation, the block learns what the counter knows.
  template <class F>
  auto exchange(int block, const void* counter, Known& known, const F& operation) {
    std::unique_lock lock(mutex_);
    turn_changed_.wait(lock, [&] { return turn_ == block; });
    Known& board = boards_[address(counter)];
    join(board, known);
    known = board;
    const auto result = operation();
    pass_turn();
    return result;
  }

  // The block has ended, with or without an error, and takes no more turns.
  void leave(int block);

 private:
  static constexpr std::uintptr_t kGranuleBytes = 4;
  static std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
  static void join(Known& to, const Known& from);
  void pass_turn();

  mutable std::mutex mutex_;
  std::unordered_map<std::uintptr_t, Writer> writers_;  // by granule
  std::unordered_map<std::uintptr_t, Known> boards_;    // by address of the counter
  std::condition_variable turn_changed_;
  int turn_ = 0;                  // the block that may add to a counter next
  std::vector<bool> is_running_;  // by block
};

}  // namespace quire
