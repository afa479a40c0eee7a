#include "engine/scheduler_bench.h"

#include <gtest/gtest.h>

namespace quire {
namespace {

TEST(SchedulerBench, WastesFewSlotsOnAHeavyTail) {
  const KvWaste waste = simulate_kv_waste();
  EXPECT_LT(waste.unused_percent, 4.0);
  EXPECT_GT(waste.unused_percent, 0.5);  // half a page a request cannot vanish
  EXPECT_GT(waste.usage_percent, 80.0);
  EXPECT_GT(waste.max_request_len, 20 * waste.mean_output_len);  // the tail is there
}

TEST(SchedulerBench, WasteGrowsWithThePage) {
  KvWasteConfig config;
  config.num_requests = 500;
  const double small = simulate_kv_waste(config).unused_percent;
  config.page_size = 128;
  config.num_pages /= 8;
  EXPECT_GT(simulate_kv_waste(config).unused_percent, 3.0 * small);
}

TEST(SchedulerBench, MeasuresEveryCount) {
  SchedulerBenchConfig config;
  config.num_requests = {1, 8};
  config.num_steps = 20;
  config.context_len = 64;
  const auto costs = measure_scheduler(config);
  ASSERT_EQ(costs.size(), 2u);
  EXPECT_EQ(costs[1].num_requests, 8);
  EXPECT_GT(costs[1].step_us, 0.0);
  EXPECT_GE(costs[1].worst_step_us, costs[1].step_us);
}

}  // namespace
}  // namespace quire
