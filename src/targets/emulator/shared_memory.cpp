#include "targets/emulator/shared_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace quire {
namespace {

constexpr std::size_t kAlignment = 1024;  // as on the chip

void fill_poison(char* to, std::size_t num_bytes) {
  for (std::size_t i = 0; i + 1 < num_bytes; i += 2) std::memcpy(to + i, &SharedMemory::kPoison, 2);
}

}  // namespace

void SharedMemory::reset(std::size_t num_bytes, const Clocks& clocks) {
  memory_.resize(num_bytes + 2 * kGuardBytes + kAlignment);
  char* first = memory_.data() + kGuardBytes;
  base_ = first + (kAlignment - reinterpret_cast<std::uintptr_t>(first) % kAlignment) % kAlignment;
  num_bytes_ = num_bytes;
  fill_poison(base_, num_bytes);
  granules_.assign((num_bytes + kGranuleBytes - 1) / kGranuleBytes, Granule{});
  added_.clear();
  clocks_ = &clocks;
  fenced_.assign(2048, 0);
}

SharedMemory::Access SharedMemory::now(int thread) const {
  const unsigned tick = clocks_->now(thread);
  QUIRE_CHECK_KIND(kExhausted, tick < Access::kInFlight,
                   "thread {} has passed more barriers than the emulator counts", thread);
  return Access::of(thread, tick);
}

// f(granule) is a finding, or nothing.
template <class F>
SharedMemory::Finding SharedMemory::each_granule(std::size_t offset, std::size_t bytes, const F& f) {
  if (offset >= num_bytes_ || bytes > num_bytes_ - offset) {
    return fmt::format("outside of shared memory, which has {} bytes", num_bytes_);
  }
  for (std::size_t i = offset / kGranuleBytes; i <= (offset + bytes - 1) / kGranuleBytes; ++i) {
    if (Finding finding = f(granules_[i])) return finding;
  }
  return {};
}

// Whether the last write is known to the thread.
SharedMemory::Finding SharedMemory::check_written(int thread, Access written) const {
  if (written.is_none()) return {};
  if (written.is_in_flight())
    return fmt::format("to which thread {} is copying, not waited for", written.thread());
  if (has_seen(thread, written)) return {};
  return fmt::format("which thread {} wrote with no barrier between", written.thread());
}

SharedMemory::Finding SharedMemory::check_read(int thread, Access written, bool by_matrix_unit) const {
  if (written.is_none() && !by_matrix_unit) return "which nobody has written";
  if (Finding finding = check_written(thread, written)) return finding;
  if (by_matrix_unit && !written.is_none() &&
      fenced_[static_cast<std::size_t>(written.thread())] < written.tick()) {
    return fmt::format("which thread {} wrote with no fence for the matrix units behind it",
                       written.thread());
  }
  return {};
}

SharedMemory::Finding SharedMemory::check_seen(int thread, const Accesses& others, const char* what) const {
  for (const Access other : others) {
    if (!other.is_none() && !has_seen(thread, other)) {
      return fmt::format("which thread {} {} with no barrier between", other.thread(), what);
    }
  }
  return {};
}

SharedMemory::Finding SharedMemory::check_added(int thread, const Granule& granule) const {
  const auto found = added_.empty() ? added_.end() : added_.find(&granule);
  return found == added_.end() ? Finding{} : check_seen(thread, found->second, "added to");
}

SharedMemory::Finding SharedMemory::check_write(int thread, const Granule& granule) const {
  if (granule.written.is_none()) return {};
  if (Finding finding = check_written(thread, granule.written)) return finding;
  if (Finding finding = check_seen(thread, granule.readers, "read")) return finding;
  return check_added(thread, granule);
}

SharedMemory::Finding SharedMemory::read(int thread, std::size_t offset, std::size_t bytes,
                                         bool by_matrix_unit) {
  const Access me = now(thread);
  const std::size_t slot = static_cast<std::size_t>(thread) / 32 % 4;
  Access allowed;  // the same writer's next granule need not be looked at again
  return each_granule(offset, bytes, [&](Granule& granule) -> Finding {
    if (allowed.is_none() || granule.written != allowed) {
      if (Finding finding = check_read(thread, granule.written, by_matrix_unit)) return finding;
      allowed = granule.written;
    }
    if (Finding finding = check_added(thread, granule)) return finding;
    note(granule.readers[slot], me, thread);
    return {};
  });
}

SharedMemory::Finding SharedMemory::add(int thread, std::size_t offset, std::size_t bytes) {
  const Access me = now(thread);
  return each_granule(offset, bytes, [&](Granule& granule) -> Finding {
    if (Finding finding = check_read(thread, granule.written, false)) return finding;
    if (Finding finding = check_seen(thread, granule.readers, "read")) return finding;
    note(added_[&granule][static_cast<std::size_t>(thread) / 32 % 4], me, thread);
    return {};
  });
}

SharedMemory::Finding SharedMemory::write(int thread, std::size_t offset, std::size_t bytes) {
  const Granule mine{now(thread), {}};
  return each_granule(offset, bytes, [&](Granule& granule) -> Finding {
    if (Finding finding = check_write(thread, granule)) return finding;
    forget_added(granule);
    granule = mine;
    return {};
  });
}

SharedMemory::Finding SharedMemory::begin_copy(int thread, std::size_t offset, std::size_t bytes) {
  const Granule pending{Access::of(thread, Access::kInFlight), {}};
  Finding found = each_granule(offset, bytes, [&](Granule& granule) -> Finding {
    if (Finding finding = check_write(thread, granule)) return finding;
    forget_added(granule);
    granule = pending;
    return {};
  });
  if (!found) fill_poison(base_ + offset, bytes);
  return found;
}

void SharedMemory::end_copy(int thread, std::size_t offset, std::size_t bytes, bool is_fenced) {
  const Access me = now(thread);
  each_granule(offset, bytes, [&](Granule& granule) -> Finding {
    granule = {me, {}};
    return {};
  });
  if (is_fenced)
    fenced_[static_cast<std::size_t>(thread)] =
        std::max(fenced_[static_cast<std::size_t>(thread)], me.tick());
}

}  // namespace quire
