// Fibers, their order, and what goes wrong between them. The operations of lanes: block_operations.cpp,
// block_copies.cpp.
#include "targets/emulator/block.h"

#include <algorithm>
#include <bit>
#include <boost/context/detail/fcontext.hpp>
#include <exception>
#include <numeric>

#include "base/check.h"

namespace quire {
namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

thread_local Block* current_block = nullptr;

}  // namespace

Block* Block::current() { return current_block; }

std::string Block::Operation::text() const {
  static constexpr const char* kTexts[] = {
      "no operation",       "named barrier {}",       "the warp's barrier", "a shuffle",
      "load_matrix",        "load_matrix_transposed", "multiply_step",      "warpgroup_fence",
      "warpgroup_wait<{}>", "the mbarrier at byte {}"};  // by kind
  if (kind == OpKind::kBarrier && detail == 0) return "the block's barrier";
  return fmt::format(fmt::runtime(kTexts[static_cast<std::size_t>(kind)]), detail);
}

std::string Block::place(int thread) const {
  return fmt::format("block {}, warp {}, lane {}", shape_.block_idx, thread / kWarpLanes,
                     thread % kWarpLanes);
}

void Block::fail_with(const std::string& text) {
  fault_ = fmt::format("{}: {}", place(current_), text);
  end_lane();
}

void Block::run(const BlockShape& shape, const LaunchMemory& memory, const std::function<void()>& lane) {
  QUIRE_CHECK_KIND(
      kInternal,
      shape.num_threads > 0 && shape.num_threads <= kMaxThreads && shape.num_threads % kWarpLanes == 0,
      "a block of {} threads: must be a multiple of 32 up to {}", shape.num_threads, kMaxThreads);
  QUIRE_CHECK_KIND(kInternal, current_block == nullptr, "a lane cannot run a block");
  shape_ = shape;
  memory_ = memory;
  last_region_ = {};
  known_.clear();
  body_ = &lane;
  random_ = shape.seed * 2 + 1;
  fault_.clear();
  clocks_ = std::make_unique<Clocks>(shape.num_threads + kMaxMbarriers);
  shared_.reset(shape.shared_bytes, *clocks_);
  barriers_.assign(kNumNamedBarriers, {});
  mbarriers_.clear();
  start_lanes();
  while (num_running_ > 0) {
    const int next = next_lane();
    if (next < 0) report_deadlock();
    resume(next);
    QUIRE_CHECK_KIND(kInternal, fault_.empty(), "{}", fault_);
  }
  check_warpgroups();
}

void Block::start_lanes() {
  const auto num = static_cast<std::size_t>(shape_.num_threads);
  if (stacks_ == nullptr || stacks_->num_lanes() < shape_.num_threads) {
    stacks_.reset();
    stacks_ = std::make_unique<LaneStacks>(shape_.num_threads);
  }
  stacks_->clear();
  lanes_.clear();
  lanes_.resize(num);
  warps_.assign(num / kWarpLanes, {});
  for (Warp& w : warps_) w.ready = ~0u;
  warpgroups_.assign((warps_.size() + 3) / 4, {});
  threads_.resize(num);
  std::iota(threads_.begin(), threads_.end(), 0);
  num_running_ = shape_.num_threads;
  for (int i = 0; i < shape_.num_threads; ++i) {
    lanes_[static_cast<std::size_t>(i)].context =
        make_fcontext(stacks_->end(i), LaneStacks::kStackBytes, [](transfer_t from) {
          auto* block = static_cast<Block*>(from.data);
          block->scheduler_ = from.fctx;
          block->scheduler_stack_ = StackSwitch().arrive();
          lane_main(block);
        });
  }
}

void Block::lane_main(void* p) {
  auto& block = *static_cast<Block*>(p);
  try {
    (*block.body_)();
  } catch (const std::exception& e) {
    block.fault_ = fmt::format("{}: {}", block.place(block.current_), e.what());
  }
  Warp& w = block.warp();
  if (w.num_arrived > 0 && block.fault_.empty()) {
    block.fault_ = fmt::format("{}: ends while lanes of its warp are at {}", block.place(block.current_),
                               w.operation.text());
  }
  ++w.num_elsewhere;
  w.ready &= ~(1u << block.current_ % kWarpLanes);
  block.lane().has_ended = true;
  --block.num_running_;
  block.end_lane();
}

// Goes back to the scheduler for good.
void Block::end_lane() {
  StackSwitch::leave_for_good(scheduler_stack_);
  jump_fcontext(scheduler_, nullptr);
  __builtin_unreachable();
}

void Block::resume(int thread) {
  current_ = thread;
  current_block = this;
  StackSwitch mine;
  mine.leave({stacks_->begin(thread), LaneStacks::kStackBytes});
  const transfer_t back = jump_fcontext(lane().context, this);
  mine.arrive();
  current_block = nullptr;
  lane().context = back.fctx;
}

void Block::suspend(Operation operation) {
  lane().waits_for = operation;
  warp().ready &= ~(1u << current_ % kWarpLanes);
  StackSwitch& mine = lane().stack_switch;
  mine.leave(scheduler_stack_);
  const transfer_t back = jump_fcontext(scheduler_, nullptr);
  scheduler_stack_ = mine.arrive();
  scheduler_ = back.fctx;
}

void Block::release(int thread) {
  lanes_[static_cast<std::size_t>(thread)].waits_for = {};
  warps_[static_cast<std::size_t>(thread / kWarpLanes)].ready |= 1u << thread % kWarpLanes;
}

// Forward and reversed: a warp goes on until none of its lanes can; shuffled: any lane of any warp.
int Block::next_lane() {
  const int num_warps = static_cast<int>(warps_.size());
  const auto random = [&](int n) {
    random_ = random_ * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<int>((random_ >> 33) % static_cast<std::uint64_t>(n));
  };
  const int first = shape_.order == LaneOrder::kShuffled ? random(num_warps) : 0;
  for (int i = 0; i < num_warps; ++i) {
    const int w = shape_.order == LaneOrder::kReversed ? num_warps - 1 - i : (first + i) % num_warps;
    std::uint32_t ready = warps_[static_cast<std::size_t>(w)].ready;
    if (ready == 0) continue;
    if (shape_.order == LaneOrder::kReversed) return w * kWarpLanes + 31 - std::countl_zero(ready);
    for (int skip = shape_.order == LaneOrder::kShuffled ? random(std::popcount(ready)) : 0; skip > 0; --skip)
      ready &= ready - 1;
    return w * kWarpLanes + std::countr_zero(ready);
  }
  return -1;
}

void Block::report_deadlock() const {
  std::string text = fmt::format("block {} cannot go on:", shape_.block_idx);
  int num_ended = 0;
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    Operation last;
    for (int l = 0; l < kWarpLanes; ++l) {
      const Lane& at = lanes_[w * kWarpLanes + static_cast<std::size_t>(l)];
      num_ended += at.has_ended ? 1 : 0;
      if (at.has_ended || at.waits_for == last) continue;
      last = at.waits_for;
      text += fmt::format(" warp {} from lane {} waits at {};", w, l, last.text());
    }
  }
  throw_error(ErrorKind::kInternal, "{} {} of {} lanes have ended (deadlock)", text, num_ended,
              shape_.num_threads);
}

void Block::access(const void* p, std::size_t bytes, bool is_write) {
  if (shared_.is_near(p)) {
    const std::size_t offset = shared_.offset_of(p);
    require(is_write ? "stores to" : "reads", p, bytes,
            is_write ? shared_.write(current_, offset, bytes) : shared_.read(current_, offset, bytes));
  } else if (!stacks_->holds(current_, p)) {
    check_global(is_write ? "stores to" : "reads", p, bytes);
    if (is_write && memory_.writes != nullptr) {
      memory_.writes->note(p, bytes, {shape_.block_idx, current_, clocks_->now(current_)});
    }
  }
}

void Block::require(const char* what, const void* p, std::size_t bytes,
                    const SharedMemory::Finding& finding) {
  if (!finding) return;
  fail("{} shared memory at byte {} ({} bytes), {}", what, static_cast<const char*>(p) - shared_.data(),
       bytes, *finding);
}

std::size_t Block::shared_place(const char* what, const void* p, std::size_t bytes, std::size_t alignment) {
  const std::size_t offset = shared_.offset_of(p);
  if (offset >= shared_.num_bytes() || bytes > shared_.num_bytes() - offset) {
    fail("{}: {} bytes at byte {} are outside of shared memory, which has {}", what, bytes,
         static_cast<const char*>(p) - shared_.data(), shared_.num_bytes());
  }
  if (offset % alignment != 0) fail("{}: byte {} is not a multiple of {}", what, offset, alignment);
  return offset;
}

void Block::check_global(const char* what, const void* p, std::size_t bytes) {
  if (memory_.map == nullptr || last_region_.holds(p, bytes)) return;
  const MemoryMap::Region region = memory_.map->find(p, bytes);
  if (!region.holds(p, bytes)) fail("{} {} bytes at {}, which no buffer of the device holds", what, bytes, p);
  last_region_ = region;
}

}  // namespace quire
