// Operations of sm_90a that complete later: warpgroup products, barriers in memory, bulk copies.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "base/dtype.h"
#include "base/error.h"
#include "targets/emulator/block.h"

namespace quire {
namespace {

using namespace emulator;

constexpr LaneOrder kOrders[] = {LaneOrder::kForward, LaneOrder::kReversed, LaneOrder::kShuffled};

std::string mistake(int num_threads, const std::function<void()>& lane, LaneOrder order) {
  Block block;
  BlockShape shape;
  shape.num_threads = num_threads;
  shape.shared_bytes = 16384;
  shape.order = order;
  try {
    block.run(shape, {}, lane);
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}
void expect_mistake(int num_threads, const std::function<void()>& lane, const std::string& words) {
  for (const LaneOrder order : kOrders) {
    const std::string text = mistake(num_threads, lane, order);
    EXPECT_NE(text, "") << "order " << static_cast<int>(order);
    EXPECT_NE(text.find(words), std::string::npos) << "order " << static_cast<int>(order) << ": " << text;
  }
}
void expect_sound(int num_threads, const std::function<void()>& lane) {
  for (const LaneOrder order : kOrders) EXPECT_EQ(mistake(num_threads, lane, order), "");
}

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

// Rows 0 to 63 of 64 elements in the 128-byte swizzle: element (row, col) is row + col / 64.
void fill_keys() {
  for (int row = thread_idx(); row < 64; row += num_threads()) {
    for (int col = 0; col < 64; ++col) {
      auto* p = reinterpret_cast<std::uint16_t*>(shared_memory() + row * 128 + ((col / 8) ^ (row % 8)) * 16) +
                col % 8;
      Block::current()->access(p, 2, true);
      *p = f32_to_bf16(static_cast<float>(row));
    }
  }
}
unsigned long long descriptor() { return 1ull << 16 | 64ull << 32 | 1ull << 62; }

struct ProductSteps {
  bool fences_memory = true, has_barrier = true, fences_registers = true, waits = true;
};

void multiply_keys(const ProductSteps& steps) {
  fill_keys();
  if (steps.fences_memory) shared_memory_fence();
  if (steps.has_barrier) block_barrier();
  float c[32];
  for (float& x : c) x = 1;
  const unsigned ones = pack_pair(Element16::kBF16, 1, 1), a[4] = {ones, ones, ones, ones};
  if (steps.fences_registers) warpgroup_fence();
  multiply_warpgroup({Element16::kBF16, c, a, 0, descriptor(), 64, false, false});
  multiply_warpgroup({Element16::kBF16, c, a, 0, descriptor() + 2, 64, true, false});
  warpgroup_commit();
  require(std::isnan(c[0]), "the sums are there before the wait");
  warpgroup_wait(steps.waits ? 0 : 1);
  for (int i = 0; i < 32; ++i) {
    const int key = 8 * (i / 4) + thread_idx() % 4 * 2 + i % 2;
    require(c[i] == static_cast<float>(32 * key), "wrong sum");
  }
}

TEST(EmulatorHopper, WarpgroupProducts) {
  expect_sound(128, [] { multiply_keys({}); });
  expect_mistake(
      128, [] { multiply_keys({.fences_memory = false}); }, "no fence for the matrix units");
  expect_mistake(
      128, [] { multiply_keys({.has_barrier = false}); }, "");
  expect_mistake(
      128, [] { multiply_keys({.fences_registers = false}); }, "without a warpgroup_fence");
  expect_mistake(
      128, [] { multiply_keys({.waits = false}); }, "wrong sum");
}

// Both operands from shared memory: c = keys keys^T, of which row m, column n is 16 m n.
TEST(EmulatorHopper, LeftOperandInSharedMemory) {
  expect_sound(128, [] {
    fill_keys();
    shared_memory_fence();
    block_barrier();
    float c[32];
    warpgroup_fence();
    multiply_warpgroup({Element16::kBF16, c, nullptr, descriptor(), descriptor() + 2, 64, false, false});
    warpgroup_commit();
    warpgroup_wait(0);
    for (int i = 0; i < 32; ++i) {
      const int row = thread_idx() / 32 * 16 + thread_idx() % 32 / 4 + 8 * (i / 2 % 2);
      const int col = 8 * (i / 4) + thread_idx() % 4 * 2 + i % 2;
      require(c[i] == static_cast<float>(16 * row * col), "wrong sum");
    }
  });
}

TEST(EmulatorHopper, WarpsOfAProductStayTogether) {
  expect_mistake(
      32,
      [] {
        fill_keys();
        shared_memory_fence();
        block_barrier();
        float c[32];
        const unsigned a[4] = {};
        warpgroup_fence();
        multiply_warpgroup(
            {Element16::kBF16, c, a, 0, descriptor() + (thread_idx() == 9 ? 2 : 0), 64, false, false});
        warpgroup_commit();
        warpgroup_wait(0);
      },
      "divergence");
}

// A wait that one warp leaves out, though its products are waited for later.
TEST(EmulatorHopper, WarpsOfAGroupWaitAtTheSamePlaces) {
  const auto multiply = [](bool is_lazy) {
    fill_keys();
    shared_memory_fence();
    block_barrier();
    float c[32];
    const unsigned a[4] = {};
    for (int round = 0; round < 2; ++round) {
      warpgroup_fence();
      multiply_warpgroup({Element16::kBF16, c, a, 0, descriptor(), 64, false, false});
      warpgroup_commit();
      if (!is_lazy || round > 0 || thread_idx() / 32 != 2) warpgroup_wait(0);
      warpgroup_wait(0);
    }
  };
  expect_sound(128, [&] { multiply(false); });
  expect_mistake(
      128, [&] { multiply(true); }, "divergence");
  const auto wait_once_more = [&] {
    multiply(false);
    if (thread_idx() < 32) warpgroup_wait(0);
  };
  expect_mistake(128, wait_once_more, "some warps of a warpgroup only");
}

struct alignas(16) Source {
  float x[64];
};

// Warp 0 copies, warp 1 reads; the slot is used `num_rounds` times.
struct HandOver {
  const Source& source;
  bool waits_full = true, waits_empty = true, right_parity = true;
  int expected = 256;

  void operator()() const {
    auto* full = reinterpret_cast<unsigned long long*>(shared_memory());
    auto* empty = full + 1;
    char* slot = shared_memory() + 1024;
    if (thread_idx() == 0) {
      mbarrier_init(full, 1);
      mbarrier_init(empty, 32);
    }
    block_barrier();
    for (int round = 0; round < 3; ++round) {
      if (thread_idx() == 0) {
        if (waits_empty) mbarrier_wait(empty, (round + 1) % 2);
        mbarrier_arrive_expect(full, expected);
        copy_bulk(slot, source.x, 256, full);
      } else if (thread_idx() >= 32) {
        if (waits_full) mbarrier_wait(full, right_parity ? round % 2 : (round + 1) % 2);
        auto* p = reinterpret_cast<float*>(slot) + thread_idx();
        Block::current()->access(p, 4, false);
        require(*p == source.x[thread_idx()], "wrong copy");
        mbarrier_arrive(empty);
      }
    }
  }
};

TEST(EmulatorHopper, BulkCopiesAndBarriersInMemory) {
  Source source;
  for (int i = 0; i < 64; ++i) source.x[i] = static_cast<float>(i);
  expect_sound(64, HandOver{source});
  expect_mistake(64, HandOver{.source = source, .waits_full = false}, "reads shared memory");
  expect_mistake(64, HandOver{.source = source, .waits_empty = false}, "");
  expect_mistake(64, HandOver{.source = source, .right_parity = false}, "reads shared memory");
  expect_mistake(64, HandOver{.source = source, .expected = 512}, "deadlock");
}

TEST(EmulatorHopper, BarrierRules) {
  expect_mistake(
      32, [] { mbarrier_arrive(reinterpret_cast<unsigned long long*>(shared_memory())); }, "no mbarrier");
  expect_mistake(
      32,
      [] {
        auto* barrier = reinterpret_cast<unsigned long long*>(shared_memory());
        if (thread_idx() == 0) mbarrier_init(barrier, 33);
        warp_barrier();
        mbarrier_arrive(barrier);
        mbarrier_wait(barrier, 0);
      },
      "deadlock");
}

}  // namespace
}  // namespace quire
