// Every kernel on every instruction-set level of this machine, with one and with two threads.
#include "selftest/selftest.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "base/check.h"
#include "device/registry.h"
#include "targets/cpu/cpu_device.h"
#include "targets/cpu/levels.h"

namespace quire {
namespace {

std::unique_ptr<Device> open_cpu(const std::string& isa, int num_threads) {
  TargetRegistry registry;
  register_cpu_target(registry);
  DeviceOptions options;
  options.settings = {{"cpu.isa", isa}, {"cpu.threads", std::to_string(num_threads)}};
  return registry.open("cpu", options);
}

class SelftestLevels : public testing::TestWithParam<CpuLevel> {};

TEST_P(SelftestLevels, EveryKernelAgreesWithItsOracle) {
  const CpuLevel level = GetParam();
  if (!level.present) GTEST_SKIP() << level.architecture << " is not on this machine";
  for (const int num_threads : {1, 2}) {
    const auto device = open_cpu(level.name, num_threads);
    ASSERT_EQ(device->caps().architecture, level.architecture);
    ASSERT_EQ(device->caps().num_programs, num_threads);
    SelftestOptions options;
    options.seed = static_cast<std::uint64_t>(num_threads);
    options.scale = 0.1;
    const SelftestReport report = run_selftest(*device, options);
    EXPECT_TRUE(report.passed());
    std::printf("%s, %d threads\n%s", level.architecture, num_threads, to_table(report).c_str());
  }
}

TEST(Selftest, ReportDoesNotDependOnTheThreadsOfTheHost) {
  const auto device = open_cpu("v2", 1);
  SelftestOptions options;
  options.scale = 0.02;
  options.num_threads = 1;
  const std::string alone = to_table(run_selftest(*device, options));
  options.num_threads = 4;
  EXPECT_EQ(to_table(run_selftest(*device, options)), alone);
}

TEST(Selftest, ProgressRisesToOne) {
  const auto device = open_cpu("v2", 1);
  SelftestOptions options;
  options.scale = 0.001;
  double last = 0;
  options.progress = [&](double fraction, const std::string& what) {
    EXPECT_GT(fraction, last);
    EXPECT_FALSE(what.empty());
    last = fraction;
  };
  run_selftest(*device, options);
  EXPECT_EQ(last, 1);
}

TEST_P(SelftestLevels, InvariantBitsDoNotDependOnThreads) {
  const CpuLevel level = GetParam();
  if (!level.present) GTEST_SKIP() << level.architecture << " is not on this machine";
  const auto one = open_cpu(level.name, 1), two = open_cpu(level.name, 2);
  for (const std::uint64_t seed : {1, 2, 3}) {
    const std::uint64_t bits = invariant_bits(*one, seed);
    EXPECT_NE(bits, 0u);
    EXPECT_EQ(bits, invariant_bits(*two, seed));
    EXPECT_EQ(bits, invariant_bits(*two, seed));  // and not on what ran before
    EXPECT_NE(bits, invariant_bits(*one, seed + 100));
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, SelftestLevels, testing::ValuesIn(cpu_levels()),
                         [](const auto& level) { return std::string(level.param.name); });

TEST(CpuLevels, UnknownAndMissingLevelsAreErrors) {
  EXPECT_THROW(open_cpu("v9", 1), Error);
  for (const CpuLevel& level : cpu_levels()) {
    if (level.present) continue;
    EXPECT_THROW(open_cpu(level.name, 1), Error) << level.name;
  }
}

}  // namespace
}  // namespace quire
