// Stacks of a block's fibers: one mapping, pages come when they are touched, the lowest page of each is a
// guard. AddressSanitizer, where it is on, has to be told of every switch between stacks, and that what
// frames left behind on a stack is of no account once the stack is used again or given back.
#pragma once

#include <cstddef>

namespace quire {

class LaneStacks {
 public:
  static constexpr std::size_t kStackBytes = std::size_t{256} << 10;

  explicit LaneStacks(int num_lanes);  // throws Error{kExhausted}
  ~LaneStacks();
  LaneStacks(const LaneStacks&) = delete;
  LaneStacks& operator=(const LaneStacks&) = delete;

  // Forgets what a sanitizer knows of frames that were dropped. To be called before lanes start; the
  // destructor does it too, since a later mapping may get these addresses.
  void clear() const;

  int num_lanes() const { return num_lanes_; }
  char* begin(int lane) const { return memory_ + static_cast<std::size_t>(lane) * kStackBytes; }
  char* end(int lane) const { return begin(lane + 1); }
  bool holds(int lane, const void* p) const { return p >= begin(lane) && p < end(lane); }

 private:
  const int num_lanes_;
  char* memory_ = nullptr;
};

// One side of a switch between stacks, as AddressSanitizer wants to know it; nothing without it. The side
// that is left calls leave() before the jump and arrive() when the jump has come back.
class StackSwitch {
 public:
  // Memory that runs next: `bytes` from `bottom` on, the lowest address.
  struct Stack {
    const void* bottom = nullptr;
    std::size_t bytes = 0;
  };

  void leave(const Stack& next);
  static void leave_for_good(const Stack& next);
  // Returns the stack that was left for this one. A stack's first frame calls it on a fresh object.
  Stack arrive();

 private:
  void* fake_stack_ = nullptr;  // the sanitizer's own; null before the first leave()
};

}  // namespace quire
