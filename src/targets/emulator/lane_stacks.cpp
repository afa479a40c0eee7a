#include "targets/emulator/lane_stacks.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

#if defined(__clang__)
#if __has_feature(address_sanitizer)
#define QUIRE_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define QUIRE_ADDRESS_SANITIZER
#endif
#ifdef QUIRE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace quire {

LaneStacks::LaneStacks(int num_lanes) : num_lanes_(num_lanes) {
  const std::size_t bytes = static_cast<std::size_t>(num_lanes) * kStackBytes;
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  QUIRE_CHECK_KIND(kExhausted, p != MAP_FAILED, "cannot allocate {} bytes for the stacks of {} lanes: {}",
                   bytes, num_lanes, std::strerror(errno));
  memory_ = static_cast<char*>(p);
  constexpr std::size_t kGuardBytes = 4096;
  for (int lane = 0; lane < num_lanes; ++lane) ::mprotect(begin(lane), kGuardBytes, PROT_NONE);
}

void LaneStacks::clear() const {
#ifdef QUIRE_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(memory_, static_cast<std::size_t>(num_lanes_) * kStackBytes);
#endif
}

LaneStacks::~LaneStacks() {
  clear();
  ::munmap(memory_, static_cast<std::size_t>(num_lanes_) * kStackBytes);
}

#ifdef QUIRE_ADDRESS_SANITIZER
void StackSwitch::leave(const Stack& next) {
  __sanitizer_start_switch_fiber(&fake_stack_, next.bottom, next.bytes);
}
void StackSwitch::leave_for_good(const Stack& next) {
  __sanitizer_start_switch_fiber(nullptr, next.bottom, next.bytes);
}
StackSwitch::Stack StackSwitch::arrive() {
  Stack before;
  __sanitizer_finish_switch_fiber(fake_stack_, &before.bottom, &before.bytes);
  return before;
}
#else
void StackSwitch::leave(const Stack&) {}
void StackSwitch::leave_for_good(const Stack&) {}
StackSwitch::Stack StackSwitch::arrive() { return {}; }
#endif

}  // namespace quire
