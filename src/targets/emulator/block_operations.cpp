// Barriers and the collectives of warps.
#include "targets/emulator/block.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace quire {

int Block::atomic_add(int* counter, int x) {
  check_global("adds to", counter, sizeof(int));
  const auto add = [&] { return std::atomic_ref<int>(*counter).fetch_add(x); };
  if (memory_.writes == nullptr) return add();
  clocks_->publish(current_, known_[shape_.block_idx]);
  return memory_.writes->exchange(shape_.block_idx, counter, known_, add);
}

void Block::atomic_add(unsigned long long* sum, unsigned long long x) {
  check_global("adds to", sum, sizeof(x));
  std::atomic_ref<unsigned long long>(*sum).fetch_add(x);
}

unsigned Block::atomic_add_shared(unsigned* sum, unsigned x) {
  const std::size_t offset = shared_place("adds to", sum, sizeof(x), sizeof(x));
  require("adds to", sum, sizeof(x), shared_.add(current_, offset, sizeof(x)));
  const unsigned before = *sum;
  *sum = before + x;
  return before;
}

void Block::atomic_store(int* counter, int x) {
  check_global("stores to", counter, sizeof(int));
  std::atomic_ref<int>(*counter).store(x);
}

// Checks a read of what another block wrote during this launch: a counter must have told that it is there.
void Block::check_fresh(const void* p, std::size_t bytes) {
  check_global("reads", p, bytes);
  const auto writer = memory_.writes == nullptr ? std::nullopt : memory_.writes->find(p);
  if (writer && writer->block != shape_.block_idx) {
    const Clocks::Ticks& ticks = known_[writer->block];
    const auto thread = static_cast<std::size_t>(writer->thread);
    if (thread >= ticks.size() || ticks[thread] < writer->tick) {
      fail("reads global memory that thread {} of block {} wrote, and no counter has said so", writer->thread,
           writer->block);
    }
  }
}

void Block::check_together(Operation operation) {
  const Warp& w = warp();
  if (w.num_arrived > 0 && !(w.operation == operation)) {
    fail("is at {} and other lanes of its warp at {} (divergence)", operation.text(), w.operation.text());
  }
  if (w.num_elsewhere == 0) return;
  const int first = current_ / kWarpLanes * kWarpLanes;
  for (int thread = first; thread < first + kWarpLanes; ++thread) {
    const Lane& other = lanes_[static_cast<std::size_t>(thread)];
    if (other.has_ended)
      fail("is at {} and lane {} has ended (divergence)", operation.text(), thread % kWarpLanes);
    if (other.waits_for.kind == OpKind::kBarrier) {
      fail("is at {} and lane {} at {} (divergence)", operation.text(), thread % kWarpLanes,
           other.waits_for.text());
    }
  }
}

template <class Operand, class Perform>
void Block::meet_warp(Operation operation, Operand* operand, const Perform& perform) {
  check_together(operation);
  Warp& w = warp();
  w.operation = operation;
  w.operands[static_cast<std::size_t>(current_ % kWarpLanes)] = operand;
  if (++w.num_arrived < kWarpLanes) return suspend(operation);
  w.num_arrived = 0;
  OfLanes<Operand*> operands;
  for (std::size_t i = 0; i < kWarpLanes; ++i) operands[i] = static_cast<Operand*>(w.operands[i]);
  perform(operands);
  const int first = current_ / kWarpLanes * kWarpLanes;
  for (int thread = first; thread < first + kWarpLanes; ++thread) release(thread);
}

void Block::warp_barrier() {
  meet_warp({OpKind::kWarpBarrier, 0}, &lane(), [&](const auto&) {
    const auto first = static_cast<std::size_t>(current_ / kWarpLanes * kWarpLanes);
    clocks_->meet(std::span(threads_).subspan(first, kWarpLanes));
  });
}

float Block::shuffle_xor(float x, int mask) {
  struct Operands {
    float x;
    int mask;
    float result;
  } mine{x, mask, 0};
  if (mask < 0 || mask >= kWarpLanes) fail("shuffles with mask {}", mask);
  meet_warp({OpKind::kShuffle, 0}, &mine, [](const OfLanes<Operands*>& lanes) {
    for (std::size_t i = 0; i < kWarpLanes; ++i) {
      lanes[i]->result = lanes[i ^ static_cast<std::size_t>(lanes[i]->mask)]->x;
    }
  });
  return mine.result;
}

void Block::load_matrix(MatrixOperands operands, bool transposed) {
  const std::size_t offset = shared_place("load_matrix", operands.row, 16, 16);
  require("loads a matrix row from", operands.row, 16, shared_.read(current_, offset, 16));
  meet_warp({transposed ? OpKind::kLoadMatrixTransposed : OpKind::kLoadMatrix, 0}, &operands,
            [&](const OfLanes<MatrixOperands*>& lanes) { load_fragments(transposed, lanes); });
}

void Block::multiply_step(emulator::Element16 type, StepOperands operands) {
  meet_warp({OpKind::kMultiplyStep, static_cast<int>(type)}, &operands,
            [&](const OfLanes<StepOperands*>& lanes) { multiply_fragments(type, lanes); });
}

void Block::check_alignment(const void* p, int bytes) {
  if (reinterpret_cast<std::uintptr_t>(p) % static_cast<std::uintptr_t>(bytes) != 0)
    fail("reads or writes {} bytes at {}, which is not a multiple of them", bytes, p);
}

void Block::named_barrier(int barrier, int count, bool waits) {
  const Operation operation{OpKind::kBarrier, barrier};
  if (barrier < 0 || barrier >= kNumNamedBarriers)
    fail("is at {}: there are {}", operation.text(), kNumNamedBarriers);
  if (count <= 0 || count > shape_.num_threads || count % kWarpLanes != 0)
    fail("is at {} for {} threads", operation.text(), count);
  if (waits && warp().num_arrived > 0) check_together(operation);
  NamedBarrier& b = barriers_[static_cast<std::size_t>(barrier)];
  if (!b.arrived.empty() && b.count != count) {
    fail("is at {} for {} threads, and others for {}", operation.text(), count, b.count);
  }
  b.count = count;
  b.arrived.push_back(current_);
  if (waits) b.waiting.push_back(current_);
  const bool is_last = static_cast<int>(b.arrived.size()) == count;
  if (!waits) clocks_->publish(current_, b.board);
  if (!is_last && !waits) return;
  if (!is_last) {
    ++warp().num_elsewhere;
    suspend(operation);
    --warp().num_elsewhere;
    return;
  }
  clocks_->meet(b.waiting);
  for (const int thread : b.waiting) {
    if (!b.board.empty()) clocks_->learn(thread, b.board);
    if (thread != current_) release(thread);
  }
  b = {};
}

// Reads rows of 16 elements of k; each chunk is checked as a read of this lane.
std::vector<Block::Row16> Block::read_matrix(const MatrixRows& rows) {
  const MatrixDescriptor descriptor = MatrixDescriptor::decode(rows.descriptor);
  std::vector<Row16> matrix(static_cast<std::size_t>(rows.num));
  for (int n = 0; n < rows.num; ++n) {
    for (int k = 0; k < 16; ++k) {
      const std::size_t offset = descriptor.offset_of(rows.first + n, k, rows.is_transposed);
      const char* p = shared_.data() + offset;
      shared_place("a product's operand", p, 2, 2);
      if (offset % 16 == 0) require("multiplies", p, 16, shared_.read(current_, offset, 16, true));
      std::memcpy(&matrix[static_cast<std::size_t>(n)][static_cast<std::size_t>(k)], p, 2);
    }
  }
  return matrix;
}

// Reads this warp's 16 of the warpgroup's 64 rows, as fragments of its lanes.
std::vector<std::array<unsigned, 4>> Block::read_left(const emulator::WarpgroupProduct& product) {
  const auto rows = read_matrix({product.left, current_ / kWarpLanes % 4 * 16, 16, false});
  std::vector<std::array<unsigned, 4>> fragments(kWarpLanes);
  for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
    for (std::size_t r = 0; r < 4; ++r) {
      const Row16& row = rows[lane / 4 + 8 * (r % 2)];
      const std::size_t col = 2 * (lane % 4) + 8 * (r / 2);
      fragments[lane][r] = row[col] | static_cast<unsigned>(row[col + 1]) << 16;
    }
  }
  return fragments;
}

RightOperand Block::read_right(const emulator::WarpgroupProduct& product) {
  const auto rows = read_matrix({product.right, 0, product.num_cols, product.is_transposed});
  RightOperand right(rows.size());
  for (std::size_t n = 0; n < rows.size(); ++n) {
    for (std::size_t k = 0; k < 16; ++k) right[n][k] = emulator::to_f32(product.type, rows[n][k]);
  }
  return right;
}

// Code must not touch the registers of a product in flight. From here to the wait its sums are poison, a NaN
// that any arithmetic changes, and its left operand is compared with a copy. Of several products into the
// same sums the oldest keeps their values.
void Block::multiply_warpgroup(const emulator::WarpgroupProduct& product) {
  if (product.num_cols <= 0 || product.num_cols % 8 != 0 || product.num_cols > 256) {
    fail("multiplies with {} columns", product.num_cols);
  }
  if (!lane().is_fenced) fail("multiplies without a warpgroup_fence since the last wait");
  Product pending{product, {}, {}};
  if (product.a != nullptr) std::copy_n(product.a, pending.left.size(), pending.left.begin());
  if (!lane().find_product(product.c)) take_sums(pending);
  lane().products.open.push_back(std::move(pending));
}

Block::Product* Block::Lane::find_product(const float* c) {
  const auto find_in = [c](std::vector<Product>& group) -> Product* {
    for (Product& p : group) {
      if (p.request.c == c && !p.is_done) return &p;
    }
    return nullptr;
  };
  for (auto& group : products.committed) {
    if (Product* found = find_in(group)) return found;
  }
  return find_in(products.open);
}

void Block::take_sums(Product& product) {
  const auto num_sums = static_cast<std::size_t>(product.request.num_cols / 2);
  product.sums.assign(product.request.c, product.request.c + num_sums);
  std::fill_n(product.request.c, num_sums, std::bit_cast<float>(kSumsInFlight));
}

// Writes the sums back to the registers, after checking that nobody has touched them.
void Block::return_registers(Product& product, std::size_t lane) {
  const auto is_poison = [](float x) { return std::bit_cast<std::uint32_t>(x) == kSumsInFlight; };
  if (!std::all_of(product.request.c, product.request.c + product.sums.size(), is_poison)) {
    fail("lane {} changed the sums of a product before it was waited for", lane);
  }
  if (product.request.a != nullptr &&
      !std::equal(product.left.begin(), product.left.end(), product.request.a)) {
    fail("lane {} changed the left operand of a product before it was waited for", lane);
  }
  std::copy(product.sums.begin(), product.sums.end(), product.request.c);
  product.is_done = true;
}

// Called once by each warp: all four must execute the same operations in the same order.
void Block::note_of_warpgroup(Operation operation) {
  const auto warp = static_cast<std::size_t>(current_ / kWarpLanes);
  Warpgroup& group = warpgroups_[warp / 4];
  const std::size_t at = group.done[warp % 4]++ - group.num_dropped;
  if (at == group.log.size()) group.log.push_back(operation);
  if (group.log[at] != operation) {
    fail("{} where another warp of the warpgroup has {} (divergence)", operation.text(),
         group.log[at].text());
  }
  const std::size_t num_warps = std::min<std::size_t>(4, warps_.size() - warp / 4 * 4);
  const auto slowest =
      *std::min_element(group.done.begin(), group.done.begin() + static_cast<std::ptrdiff_t>(num_warps));
  for (; group.num_dropped < slowest; ++group.num_dropped) group.log.pop_front();
}

// At the block's end.
void Block::check_warpgroups() {
  for (const Warpgroup& group : warpgroups_) {
    QUIRE_CHECK_KIND(kInternal, group.log.empty(),
                     "block {}: {} was executed by some warps of a warpgroup only (divergence)",
                     shape_.block_idx, group.log.front().text());
  }
}

void Block::warpgroup_fence() {
  constexpr Operation kFence{OpKind::kWarpgroupFence, 0};
  meet_warp(kFence, &lane(), [&](const auto&) { note_of_warpgroup(kFence); });
  lane().is_fenced = true;
}

void Block::warpgroup_commit() { lane().products.commit(); }

void Block::warpgroup_wait(int pending) {
  const Operation wait{OpKind::kWarpgroupWait, pending};
  meet_warp(wait, &lane(), [&](const auto&) {
    note_of_warpgroup(wait);
    const std::size_t committed = lane().products.committed.size();
    perform_products(committed - std::min(committed, static_cast<std::size_t>(pending)));
  });
  lane().is_fenced = false;
}

// The oldest groups of the current lane's warp.
void Block::perform_products(std::size_t num_groups) {
  const auto first = static_cast<std::size_t>(current_ / kWarpLanes * kWarpLanes);
  for (; num_groups > 0; --num_groups) {
    const std::size_t num_products = lane().products.committed.front().size();
    for (std::size_t i = 0; i < num_products; ++i) {
      const emulator::WarpgroupProduct product = lane().products.committed.front()[i].request;
      const auto left = product.a == nullptr ? read_left(product) : std::vector<std::array<unsigned, 4>>{};
      OfLanes<WarpgroupOperands> operands;
      for (std::size_t l = 0; l < kWarpLanes; ++l) {
        auto& groups = lanes_[first + l].products.committed;
        if (groups.empty() || groups.front().size() != num_products ||
            groups.front()[i].request.right != product.right ||
            groups.front()[i].request.left != product.left ||
            groups.front()[i].request.adds != product.adds ||
            groups.front()[i].request.num_cols != product.num_cols) {
          fail("waits for a product that is not that of lane {} (divergence)", l);
        }
        return_registers(groups.front()[i], l);
        operands[l] = {groups.front()[i].request.c,
                       product.a == nullptr ? left[l].data() : groups.front()[i].request.a};
      }
      multiply_warpgroup_rows(product.type, product.adds, read_right(product), operands);
      for (std::size_t l = 0; l < kWarpLanes; ++l) {
        if (Product* next = lanes_[first + l].find_product(operands[l].c)) take_sums(*next);
      }
    }
    for (std::size_t l = 0; l < kWarpLanes; ++l) lanes_[first + l].products.committed.pop_front();
  }
}

}  // namespace quire
