#include "targets/cpu/gang.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace quire {
namespace {

TEST(Gang, RunsEachProgramOnce) {
  Gang gang(4);
  for (int num_programs = 1; num_programs <= 6; ++num_programs) {
    std::vector<std::atomic<int>> runs(6);
    gang.run(num_programs, [&](int program) { ++runs[static_cast<std::size_t>(program)]; });
    for (int i = 0; i < 6; ++i)
      EXPECT_EQ(runs[static_cast<std::size_t>(i)], i < std::min(num_programs, 4) ? 1 : 0);
  }
}

// Far more threads than cores, so that the caller often gives up spinning and waits; and pauses between runs,
// so that workers go back to the pool. A missed wake-up would hang.
TEST(Gang, NeverMissesTheEnd) {
  Gang gang(16);
  long sum = 0;
  std::atomic<long> total{0};
  for (int round = 0; round < 3000; ++round) {
    if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    const int num_programs = 2 + round % 15;
    gang.run(num_programs, [&](int program) { total += program; });
    sum += long{num_programs} * (num_programs - 1) / 2;
    ASSERT_EQ(total, sum);
  }
}

}  // namespace
}  // namespace quire
