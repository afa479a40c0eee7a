#include "targets/cpu/gang.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace quire {
namespace {

TEST(Gang, RunsEachProgramAtMostOnce) {
  Gang gang(4);
  for (int round = 0; round < 2000; ++round) {
    const int num_programs = 1 + round % 6;
    std::vector<std::atomic<int>> runs(6);
    gang.run(num_programs, [&](int program) { ++runs[static_cast<std::size_t>(program)]; });
    EXPECT_EQ(runs[0], 1);
    for (int i = 1; i < 6; ++i) EXPECT_LE(runs[static_cast<std::size_t>(i)], i < std::min(num_programs, 4) ? 1 : 0);
  }
}

// Work that takes long enough is shared by all.
TEST(Gang, ThreadsCome) {
  Gang gang(4);
  std::vector<std::atomic<int>> runs(4);
  std::atomic<int> num_here{0};
  gang.run(4, [&](int program) {
    ++runs[static_cast<std::size_t>(program)];
    ++num_here;
    while (num_here < 4) std::this_thread::yield();
  });
  for (const auto& run : runs) EXPECT_EQ(run, 1);
}

// Far more threads than cores, so that the caller often gives up spinning and waits, many threads come too late, and pauses between
// runs send workers back to the pool. A missed wake-up would hang; a thread that came after the end would touch what is gone.
TEST(Gang, NeverMissesTheEnd) {
  Gang gang(16);
  for (int round = 0; round < 3000; ++round) {
    if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    const auto items = std::make_unique<std::vector<int>>(static_cast<std::size_t>(1 + round % 40));
    std::atomic<std::size_t> next{0};
    gang.run(2 + round % 15, [&](int) {
      for (std::size_t i; (i = next++) < items->size();) ++(*items)[i];
    });
    for (const int count : *items) ASSERT_EQ(count, 1);
  }
}

}  // namespace
}  // namespace quire
