// Lanes of one block: what they may do together, and that each mistake is found, in every order of lanes.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.h"
#include "targets/emulator/block.h"

namespace quire {
namespace {

using namespace emulator;

constexpr LaneOrder kOrders[] = {LaneOrder::kForward, LaneOrder::kReversed, LaneOrder::kShuffled};

// Accesses as the compiler's reports make them.
float load(const float* p) {
  Block::current()->access(p, sizeof(float), false);
  return *p;
}
void store(float* p, float x) {
  Block::current()->access(p, sizeof(float), true);
  *p = x;
}
float* floats() { return reinterpret_cast<float*>(shared_memory()); }

void run(int num_threads, const std::function<void()>& lane, LaneOrder order = LaneOrder::kForward,
         const MemoryMap* memory = nullptr) {
  Block block;
  BlockShape shape;
  shape.num_threads = num_threads;
  shape.shared_bytes = 16384;
  shape.order = order;
  block.run(shape, {memory, nullptr}, lane);
}

// The message of the mistake; empty if there is none.
std::string mistake(int num_threads, const std::function<void()>& lane, LaneOrder order = LaneOrder::kForward,
                    const MemoryMap* memory = nullptr) {
  try {
    run(num_threads, lane, order, memory);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInternal);
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

TEST(EmulatorBlock, LanesKnowTheirPlace) {
  std::vector<int> seen(256, 0);
  run(256, [&] {
    ++seen[static_cast<std::size_t>(thread_idx())];
    if (num_threads() != 256 || block_idx() != 0 || num_blocks() != 1) seen[0] = -1;
  });
  for (const int times : seen) EXPECT_EQ(times, 1);
}

TEST(EmulatorBlock, ShufflesAndSharedMemory) {
  expect_sound(128, [] {
    const int t = thread_idx();
    store(floats() + t, static_cast<float>(t));
    block_barrier();
    const float opposite = load(floats() + (127 - t));
    const float sum = shuffle_xor(opposite, 1) + opposite;
    if (sum != static_cast<float>(2 * (127 - t) + (t % 2 == 0 ? -1 : 1)))
      throw std::runtime_error("wrong sum");
  });
}

TEST(EmulatorBlock, SharedMemoryHasAGuardOnBothSides) {
  expect_mistake(
      32, [] { store(floats() - 1, 0); }, "outside of shared memory");
  expect_mistake(
      32, [] { store(floats() + 4096, 0); }, "outside of shared memory");
}

TEST(EmulatorBlock, ReadOfUnwrittenMemory) {
  expect_mistake(
      32, [] { load(floats() + 5); }, "which nobody has written");
  expect_mistake(
      32,
      [] {
        unsigned r[4];
        load_matrix(r, shared_memory() + thread_idx() * 16, false);
      },
      "which nobody has written");
  run(32, [] { EXPECT_TRUE(std::isnan(*floats())); });  // unseen reads get NaN
}

TEST(EmulatorBlock, RaceBetweenWriteAndRead) {
  const auto lane = [](bool with_barrier) {
    store(floats() + thread_idx(), 1);
    if (with_barrier) block_barrier();
    load(floats() + (thread_idx() ^ 32));
  };
  expect_sound(64, [&] { lane(true); });
  for (const LaneOrder order : kOrders)
    EXPECT_NE(mistake(
                  64, [&] { lane(false); }, order),
              "");
  expect_mistake(
      64,
      [] {
        if (thread_idx() == 3) store(floats(), 1);
        block_barrier();
        if (thread_idx() == 40) load(floats());
        store(floats() + 40 + thread_idx(), 1);
        if (thread_idx() == 3) store(floats(), 2);
      },
      "thread ");
}

TEST(EmulatorBlock, RaceBetweenReadAndWrite) {
  const auto lane = [](bool with_barrier) {
    if (thread_idx() == 0) store(floats(), 1);
    block_barrier();
    load(floats());
    if (with_barrier) block_barrier();
    if (thread_idx() == 0) store(floats(), 2);
  };
  expect_sound(128, [&] { lane(true); });
  for (const LaneOrder order : {LaneOrder::kReversed, LaneOrder::kForward}) {
    EXPECT_NE(mistake(
                  128, [&] { lane(false); }, order)
                  .find("with no barrier between"),
              std::string::npos);
  }
}

TEST(EmulatorBlock, TwoWritersRace) {
  expect_mistake(
      64, [] { store(floats() + thread_idx() % 32, 1); }, "with no barrier between");
}

TEST(EmulatorBlock, WarpBarrierOrdersAWarpAlone) {
  const auto lane = [](int distance) {
    store(floats() + thread_idx(), 1);
    warp_barrier();
    load(floats() + (thread_idx() ^ distance));
  };
  expect_sound(64, [&] { lane(7); });
  expect_mistake(
      64, [&] { lane(32); }, "shared memory");
}

TEST(EmulatorBlock, Divergence) {
  expect_mistake(
      32, [] { thread_idx() == 7 ? warp_barrier() : static_cast<void>(shuffle_xor(1, 1)); }, "divergence");
  expect_mistake(
      32,
      [] {
        if (thread_idx() != 7) warp_barrier();
      },
      "");
  const std::string text = mistake(64, [] { thread_idx() == 40 ? block_barrier() : warp_barrier(); });
  EXPECT_NE(text.find("block 0, warp 1, lane"), std::string::npos) << text;
  EXPECT_NE(text.find("the warp's barrier"), std::string::npos) << text;
  EXPECT_NE(text.find("the block's barrier"), std::string::npos) << text;
}

TEST(EmulatorBlock, Deadlock) {
  expect_mistake(
      64,
      [] {
        if (thread_idx() < 32) block_barrier();
      },
      "deadlock");
  expect_mistake(
      64, [] { named_barrier_sync(thread_idx() < 32 ? 1 : 2, 64); }, "deadlock");
}

TEST(EmulatorBlock, NamedBarriers) {
  // Warps 1 and 2 hand over to warp 0, which waits, while they go on.
  const auto lane = [](bool waits) {
    const int warp = thread_idx() / 32;
    if (warp > 0) {
      store(floats() + thread_idx(), static_cast<float>(warp));
      named_barrier_arrive(1, 96);
      return;
    }
    if (waits) named_barrier_sync(1, 96);
    load(floats() + thread_idx() + 32);
    load(floats() + thread_idx() + 64);
  };
  expect_sound(96, [&] { lane(true); });
  expect_mistake(
      96, [&] { lane(false); }, "shared memory");
  expect_mistake(
      64, [] { named_barrier_sync(1, thread_idx() < 32 ? 64 : 32); }, "");
}

struct alignas(16) Source {
  float x[256];
};

TEST(EmulatorBlock, CopiesArriveAtTheirWait) {
  Source source;
  for (int i = 0; i < 256; ++i) source.x[i] = static_cast<float>(i);
  const auto lane = [&](int pending) {
    char* to = shared_memory() + thread_idx() * 32;
    for (int i = 0; i < 2; ++i) {
      copy_async_16(to + i * 16, source.x + (thread_idx() * 2 + i) * 4, true);
      copy_async_commit();
    }
    if (!std::isnan(*reinterpret_cast<float*>(to))) throw std::runtime_error("there too early");
    copy_async_wait(pending);
    if (load(reinterpret_cast<float*>(to)) != static_cast<float>(thread_idx() * 8))
      throw std::runtime_error("not there");
    load(reinterpret_cast<float*>(to + 16));
  };
  expect_sound(32, [&] { lane(0); });
  expect_mistake(
      32, [&] { lane(1); }, "not waited for");  // the newer group has not arrived
  expect_mistake(
      32, [&] { lane(2); }, "not waited for");
}

TEST(EmulatorBlock, CopiesOfOthersNeedABarrier) {
  Source source{};
  const auto lane = [&](bool with_barrier) {
    copy_async_16(shared_memory() + thread_idx() * 16, source.x, true);
    copy_async_commit();
    copy_async_wait(0);
    if (with_barrier) block_barrier();
    unsigned r[4];
    load_matrix(r, shared_memory() + (thread_idx() ^ 32) * 16, false);
  };
  expect_sound(64, [&] { lane(true); });
  expect_mistake(
      64, [&] { lane(false); }, "loads a matrix row");
}

TEST(EmulatorBlock, CopyRules) {
  Source source{};
  expect_mistake(
      32, [&] { copy_async_16(shared_memory() + 4, source.x, true); }, "not a multiple of 16");
  expect_mistake(
      32, [&] { copy_async_16(shared_memory(), source.x + 1, true); }, "not a multiple of 16");
  expect_mistake(
      32, [&] { copy_async_16(source.x, source.x, true); }, "outside of shared memory");
  expect_mistake(
      32,
      [&] {  // into what is still being read
        if (thread_idx() == 0) store(floats(), 1);
        warp_barrier();
        load(floats());
        if (thread_idx() == 5) copy_async_16(shared_memory(), source.x, true);
      },
      "with no barrier between");
  run(32, [&] {
    copy_async_16(shared_memory() + thread_idx() * 16, nullptr, false);
    copy_async_commit();
    copy_async_wait(0);
    EXPECT_EQ(load(floats() + thread_idx() * 4), 0.0f);
  });
}

TEST(EmulatorBlock, GlobalMemoryIsThatOfTheDevice) {
  std::vector<float> inside(8), outside(8);
  MemoryMap map;
  map.add(inside.data(), 8 * sizeof(float));
  EXPECT_EQ(mistake(
                32, [&] { load(&inside[7]); }, LaneOrder::kForward, &map),
            "");
  EXPECT_NE(mistake(
                32, [&] { load(&outside[0]); }, LaneOrder::kForward, &map)
                .find("no buffer"),
            std::string::npos);
  EXPECT_NE(mistake(
                32, [&] { load(inside.data() + 8); }, LaneOrder::kForward, &map)
                .find("no buffer"),
            std::string::npos);
  EXPECT_NE(
      mistake(
          32, [&] { atomic_add(reinterpret_cast<int*>(outside.data()), 1); }, LaneOrder::kForward, &map),
      "");
}

// Block 0 writes and counts; block 1 reads after it saw the count.
TEST(EmulatorBlock, ResultsOfOtherBlocks) {
  const auto read_by_other_block = [](bool with_barrier, bool looks) {
    alignas(16) float result[64] = {};
    int counter = 0;
    GlobalWrites writes(2);
    Block block;
    BlockShape shape;
    shape.num_threads = 64;
    shape.shared_bytes = 1024;
    shape.num_blocks = 2;
    block.run(shape, {nullptr, &writes}, [&] {
      store(&result[thread_idx()], 1);
      if (with_barrier) block_barrier();
      if (thread_idx() == 0) atomic_add(&counter, 1);
    });
    shape.block_idx = 1;
    block.run(shape, {nullptr, &writes}, [&] {
      if (thread_idx() == 0 && looks) atomic_add(&counter, 1);
      block_barrier();
      load_fresh(&result[thread_idx()]);
    });
  };
  EXPECT_NO_THROW(read_by_other_block(true, true));
  EXPECT_THROW(read_by_other_block(false, true), Error);
  EXPECT_THROW(read_by_other_block(true, false), Error);
}

// Block b adds b + 1 times, the later blocks first if the host's threads had their way.
TEST(EmulatorBlock, CountersAreAddedToInTurns) {
  GlobalWrites writes(3);
  std::vector<int> order;
  const auto run_block = [&](int block) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10 * (2 - block)));
    int counter = 0;
    GlobalWrites::Known known;
    for (int i = 0; i <= block; ++i) {
      writes.exchange(block, &counter, known, [&] {
        order.push_back(block);
        return 0;
      });
    }
    writes.leave(block);
  };
  {
    std::vector<std::jthread> threads;
    for (int block = 0; block < 3; ++block) threads.emplace_back(run_block, block);
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 1, 2, 2}));
}

// Additions may come in any order, but not beside plain accesses of other lanes.
TEST(EmulatorBlock, AdditionsToSharedMemory) {
  const auto sum = [] { return reinterpret_cast<unsigned*>(shared_memory()); };
  const auto clear = [&] {
    if (thread_idx() == 0) store(floats(), 0.0f);  // the bits of 0
  };
  expect_sound(128, [&] {
    for (int round = 0; round < 2; ++round) {
      clear();
      block_barrier();
      atomic_add_shared(sum(), static_cast<unsigned>(thread_idx()));
      block_barrier();
      load(floats());
      EXPECT_EQ(*sum(), 127u * 128 / 2);
      block_barrier();
    }
  });
  expect_mistake(
      64, [&] { atomic_add_shared(sum(), 1); }, "which nobody has written");
  expect_mistake(
      64,
      [&] {
        clear();
        atomic_add_shared(sum(), 1);
      },
      "");
  for (const bool writes : {false, true}) {
    expect_mistake(
        64,
        [&] {
          clear();
          block_barrier();
          atomic_add_shared(sum(), 1);
          if (thread_idx() == 40 && writes) store(floats(), 1.0f);
          if (thread_idx() == 40 && !writes) load(floats());
          warp_barrier();
          atomic_add_shared(sum(), 1);
        },
        "with no barrier between");
  }
}

TEST(EmulatorBlock, ABlockCanRunAgain) {
  Block block;
  BlockShape shape;
  shape.shared_bytes = 1024;
  EXPECT_THROW(block.run(shape, {},
                         [] {
                           if (thread_idx() > 3) warp_barrier();
                         }),
               Error);
  shape.num_threads = 1024;
  int sum = 0;
  block.run(shape, {}, [&] {
    block_barrier();
    sum += 1;
  });
  EXPECT_EQ(sum, 1024);
}

// What AddressSanitizer knows of frames that a mistake drops must not outlive the stacks that they stood on:
// a later mapping may have the same addresses.
TEST(EmulatorBlock, MemoryOfItsStacksCanBeUsedAgain) {
  constexpr int kLanes = 64;
  for (int round = 0; round < 3; ++round) {
    const std::string text = mistake(kLanes, [] {
      std::array<float, 100> frame{};
      float* volatile escaped = frame.data();
      escaped[thread_idx()] = 1.0f;
      block_barrier();
      if (thread_idx() == 0) throw std::runtime_error("dropped");
      block_barrier();
      if (escaped[thread_idx()] != 1.0f) throw std::runtime_error("another lane's frame");
    });
    EXPECT_NE(text.find("dropped"), std::string::npos) << text;
    constexpr std::size_t kBytes = kLanes * LaneStacks::kStackBytes;
    void* p = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(p, MAP_FAILED);
    std::memset(p, 1, kBytes);
    ::munmap(p, kBytes);
  }
}

}  // namespace
}  // namespace quire
