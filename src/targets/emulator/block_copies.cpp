// Asynchronous copies and the barriers in memory that count them.
#include "targets/emulator/block.h"

#include <cstring>
#include <utility>

namespace quire {

void Block::perform(const Copy& copy, int owner, bool is_fenced) {
  if (copy.from == nullptr) {
    std::memset(copy.to, 0, copy.bytes);
  } else {
    std::memcpy(copy.to, copy.from, copy.bytes);
  }
  shared_.end_copy(owner, shared_.offset_of(copy.to), copy.bytes, is_fenced);
}

void Block::copy_async_16(void* to, const void* from, bool valid) {
  const std::size_t offset = shared_place("copy_async_16", to, 16, 16);
  if (valid && reinterpret_cast<std::uintptr_t>(from) % 16 != 0)
    fail("copy_async_16 from {}, which is not a multiple of 16", from);
  if (valid) check_global("copies", from, 16);
  require("copies to", to, 16, shared_.begin_copy(current_, offset, 16));
  lane().copies.open.push_back({static_cast<char*>(to), valid ? from : nullptr, 16});
}

void Block::copy_async_commit() { lane().copies.commit(); }

void Block::copy_async_wait(int pending) {
  auto& groups = lane().copies.committed;
  while (groups.size() > static_cast<std::size_t>(pending)) {
    for (const Copy& copy : groups.front()) perform(copy, current_, false);
    groups.pop_front();
  }
}

Block::Mbarrier& Block::mbarrier_at(const char* what, void* barrier) {
  const std::size_t offset = shared_place(what, barrier, 8, 8);
  const auto found = mbarriers_.find(offset);
  if (found == mbarriers_.end()) fail("{}: there is no mbarrier at byte {}", what, offset);
  require(what, barrier, 8, shared_.read(current_, offset, 8));
  return found->second;
}

void Block::mbarrier_init(void* barrier, int count) {
  const std::size_t offset = shared_place("mbarrier_init", barrier, 8, 8);
  if (count <= 0 || mbarriers_.size() >= kMaxMbarriers)
    fail("mbarrier_init with count {}, {} there", count, mbarriers_.size());
  require("makes an mbarrier in", barrier, 8, shared_.write(current_, offset, 8));
  Mbarrier made;
  made.engine = shape_.num_threads + static_cast<int>(mbarriers_.size());
  made.count = made.pending = count;
  if (!mbarriers_.emplace(offset, std::move(made)).second)
    fail("mbarrier_init at byte {}, where one is", offset);
}

void Block::check_phase(Mbarrier& b) {
  if (b.pending > 0 || b.bytes != 0) return;
  b.pending = b.count;
  ++b.phase;
  b.completed = std::exchange(b.board, {});
  for (const int thread : std::exchange(b.waiting, {})) release(thread);
}

// Performs the copies that a barrier counts.
void Block::deliver(Mbarrier& b) {
  for (const Copy& copy : std::exchange(b.copies, {})) {
    perform(copy, b.engine, true);
    b.bytes -= static_cast<long>(copy.bytes);
  }
  clocks_->publish(b.engine, b.board);
  check_phase(b);
}

void Block::mbarrier_arrive(void* barrier, int expected_bytes) {
  Mbarrier& b = mbarrier_at("arrives at an mbarrier in", barrier);
  if (b.pending == 0) fail("arrives at an mbarrier that {} have arrived at already", b.count);
  b.bytes += expected_bytes;
  --b.pending;
  clocks_->publish(current_, b.board);
  check_phase(b);
}

void Block::mbarrier_expect(void* barrier, int bytes) {
  mbarrier_at("announces bytes to an mbarrier in", barrier).bytes += bytes;
}

// Copies are performed at the latest possible moment: when somebody waits for them.
void Block::mbarrier_wait(void* barrier, int parity) {
  Mbarrier& b = mbarrier_at("waits at an mbarrier in", barrier);
  const Operation operation{OpKind::kMbarrierWait, static_cast<int>(shared_.offset_of(barrier))};
  const int phase = b.phase;
  if (phase % 2 == parity) deliver(b);
  if (b.phase == phase && phase % 2 == parity) {
    b.waiting.push_back(current_);
    suspend(operation);  // lanes of a warp may wait here at different times
  }
  clocks_->learn(current_, b.completed);
}

void Block::copy_bulk(void* to, const void* from, int bytes, void* barrier) {
  if (bytes <= 0 || bytes % 16 != 0) fail("copy_bulk of {} bytes", bytes);
  const auto size = static_cast<std::size_t>(bytes);
  const std::size_t offset = shared_place("copy_bulk", to, size, 16);
  if (reinterpret_cast<std::uintptr_t>(from) % 16 != 0)
    fail("copy_bulk from {}, which is not a multiple of 16", from);
  check_global("copies", from, size);
  Mbarrier& b = mbarrier_at("copies for an mbarrier in", barrier);
  require("copies to", to, size, shared_.begin_copy(current_, offset, size));
  b.copies.push_back({static_cast<char*>(to), from, size});
  // Threads that are waiting already do not check again, so that the copies are performed now.
  if (!b.waiting.empty()) deliver(b);
}

}  // namespace quire
