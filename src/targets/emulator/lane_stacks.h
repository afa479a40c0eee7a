// The stacks of a block's fibers: one mapping, in which the lowest page of each stack is a guard.
// AddressSanitizer has to be told of every switch between stacks, and to forget the frames of a stack that is
// used again or unmapped.
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

  // Makes the sanitizer forget frames of dropped lanes. To be called before lanes start; the destructor does
  // it too, since a later mapping may have the same addresses.
  void clear() const;

  int num_lanes() const { return num_lanes_; }
  char* begin(int lane) const { return memory_ + static_cast<std::size_t>(lane) * kStackBytes; }
  char* end(int lane) const { return begin(lane + 1); }
  bool holds(int lane, const void* p) const { return p >= begin(lane) && p < end(lane); }

 private:
  const int num_lanes_;
  char* memory_ = nullptr;
};

// One side of a switch between stacks, for AddressSanitizer; does nothing without it. The side that jumps
// away calls leave() before the jump, and arrive() when the jump has returned.
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
