// Stacks of a block's fibers: one mapping, pages come when they are touched, the lowest page of each is a
// guard.
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

  // Forgets what a sanitizer knows of frames that were dropped.
  void clear() const;

  int num_lanes() const { return num_lanes_; }
  char* begin(int lane) const { return memory_ + static_cast<std::size_t>(lane) * kStackBytes; }
  char* end(int lane) const { return begin(lane + 1); }
  bool holds(int lane, const void* p) const { return p >= begin(lane) && p < end(lane); }

 private:
  const int num_lanes_;
  char* memory_ = nullptr;
};

}  // namespace quire
