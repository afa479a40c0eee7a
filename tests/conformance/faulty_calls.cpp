#include "conformance/faulty_calls.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "targets/emulator/lane_calls.h"

namespace quire {
namespace {

// Written between launches, read by the threads of a launch.
FaultKind planted = FaultKind::kNone;
std::vector<const void*> planted_sites;

std::mutex sites_mutex;
std::vector<Site> sites;

void note(SiteKind kind, const void* address) {
  const std::scoped_lock lock(sites_mutex);
  for (const Site& s : sites) {
    if (s.address == address) return;
  }
  sites.push_back({kind, address});
}

bool is_planted(FaultKind fault, const void* address) {
  return planted == fault &&
         std::find(planted_sites.begin(), planted_sites.end(), address) != planted_sites.end();
}

bool is_skipped(SiteKind kind, const void* address) {
  note(kind, address);
  return is_planted(FaultKind::kSkip, address);
}

}  // namespace

const char* to_string(SiteKind kind) {
  switch (kind) {
    case SiteKind::kBlockBarrier:
      return "block barrier";
    case SiteKind::kNamedBarrier:
      return "named barrier";
    case SiteKind::kWarpBarrier:
      return "warp barrier";
    case SiteKind::kCopyWait:
      return "copy wait";
    case SiteKind::kWarpgroupFence:
      return "warpgroup fence";
    case SiteKind::kWarpgroupWait:
      return "warpgroup wait";
    case SiteKind::kArrival:
      return "arrival";
    case SiteKind::kArrivalWait:
      return "arrival wait";
    case SiteKind::kSharedMemoryFence:
      return "shared memory fence";
  }
  return "?";
}

void plant(FaultKind kind, std::vector<const void*> addresses) {
  planted = kind;
  planted_sites = std::move(addresses);
}

std::vector<Site> take_sites() {
  const std::scoped_lock lock(sites_mutex);
  return std::exchange(sites, {});
}

namespace faulty_calls {

using emulator::Element16;
using emulator::WarpgroupProduct;

// The address that the call returns to names the site.
void block_barrier() {
  if (!is_skipped(SiteKind::kBlockBarrier, __builtin_return_address(0))) emulator::block_barrier();
}
void named_barrier_sync(int barrier, int count) {
  if (!is_skipped(SiteKind::kNamedBarrier, __builtin_return_address(0)))
    emulator::named_barrier_sync(barrier, count);
}
void named_barrier_arrive(int barrier, int count) {
  if (!is_skipped(SiteKind::kNamedBarrier, __builtin_return_address(0)))
    emulator::named_barrier_arrive(barrier, count);
}
void warp_barrier() {
  if (!is_skipped(SiteKind::kWarpBarrier, __builtin_return_address(0))) emulator::warp_barrier();
}
void warpgroup_fence() {
  if (!is_skipped(SiteKind::kWarpgroupFence, __builtin_return_address(0))) emulator::warpgroup_fence();
}
void shared_memory_fence() {
  if (!is_skipped(SiteKind::kSharedMemoryFence, __builtin_return_address(0))) emulator::shared_memory_fence();
}
void mbarrier_arrive(void* barrier) {
  if (!is_skipped(SiteKind::kArrival, __builtin_return_address(0))) emulator::mbarrier_arrive(barrier);
}
void mbarrier_wait(void* barrier, int parity) {
  if (!is_skipped(SiteKind::kArrivalWait, __builtin_return_address(0)))
    emulator::mbarrier_wait(barrier, parity);
}
void copy_async_wait(int pending) {
  const void* address = __builtin_return_address(0);
  if (is_skipped(SiteKind::kCopyWait, address)) return;
  emulator::copy_async_wait(is_planted(FaultKind::kWaitLess, address) ? pending + 1 : pending);
}
void warpgroup_wait(int pending) {
  const void* address = __builtin_return_address(0);
  if (is_skipped(SiteKind::kWarpgroupWait, address)) return;
  emulator::warpgroup_wait(is_planted(FaultKind::kWaitLess, address) ? pending + 1 : pending);
}
void device_fence() { emulator::device_fence(); }

float shuffle_xor(float x, int mask) {
  return emulator::shuffle_xor(x, planted == FaultKind::kWrongShuffle ? mask * 4 % 31 : mask);
}

void copy_async_16(void* to, const void* from, bool valid) {
  const bool is_odd = emulator::shared_address(to) / 128 % 2 != 0;
  char* place = static_cast<char*>(to);
  if (planted == FaultKind::kWrongSwizzle && is_odd)
    place += emulator::shared_address(to) / 16 % 2 == 0 ? 16 : -16;
  emulator::copy_async_16(place, from, valid);
}

void load_matrix(unsigned (&r)[4], const void* row, bool transposed) {
  const auto* address = static_cast<const char*>(row);
  if (planted == FaultKind::kWrongRow) address += emulator::shared_address(row) / 128 % 2 == 0 ? 128 : -128;
  emulator::load_matrix(r, address, transposed && planted != FaultKind::kNotTransposed);
}

void multiply_step(Element16 type, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  unsigned left[4] = {a[0], a[1], a[2], a[3]};
  if (planted == FaultKind::kSwappedLeft) std::swap(left[1], left[2]);
  if (planted == FaultKind::kSwappedRight) std::swap(b0, b1);
  emulator::multiply_step(type, c, left, b0, b1);
  if (planted == FaultKind::kSwappedSums) std::swap(c[1], c[2]);
}

void multiply_warpgroup(const WarpgroupProduct& product) {
  WarpgroupProduct wrong = product;
  if (planted == FaultKind::kWrongDescriptor) wrong.right += 2;
  emulator::multiply_warpgroup(wrong);
}

}  // namespace faulty_calls
}  // namespace quire
