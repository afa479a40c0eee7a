// The buffers of a device that runs on the host, which are the memory that its kernels may access. Does not
// change while a launch runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace quire {

class MemoryMap {
 public:
  struct Region {
    std::uintptr_t begin = 0, end = 0;
    bool holds(const void* p, std::size_t bytes) const {
      const auto at = reinterpret_cast<std::uintptr_t>(p);
      return at >= begin && at < end && bytes <= end - at;
    }
  };

  void add(const void* p, std::size_t bytes) { ends_[address(p)] = address(p) + bytes; }
  // Returns how many bytes it had.
  std::size_t remove(const void* p) {
    const auto found = ends_.find(address(p));
    const std::size_t bytes = found->second - found->first;
    ends_.erase(found);
    return bytes;
  }

  // The region that contains the access, or an empty one.
  Region find(const void* p, std::size_t bytes) const {
    auto next = ends_.upper_bound(address(p));
    if (next == ends_.begin()) return {};
    const Region region{std::prev(next)->first, std::prev(next)->second};
    return region.holds(p, bytes) ? region : Region{};
  }

 private:
  static std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
  std::map<std::uintptr_t, std::uintptr_t> ends_;  // by begin
};

}  // namespace quire
