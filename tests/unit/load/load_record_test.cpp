#include "load/load_record.h"

#include <gtest/gtest.h>

namespace quire {
namespace {

LoadRecord good(double intended_s, double first_s, double last_s, std::int64_t output_len) {
  LoadRecord record;
  record.outcome = LoadOutcome::kOk;
  record.status = 200;
  record.intended_s = record.sent_s = intended_s;
  record.first_s = first_s;
  record.last_s = record.end_s = last_s;
  record.output_len = output_len;
  record.prompt_len = 10;
  record.has_usage = true;
  return record;
}

TEST(Percentile, LiesStraightBetweenNeighbours) {
  EXPECT_EQ(percentile({}, 0.5), 0);
  EXPECT_EQ(percentile({7}, 0.99), 7);
  EXPECT_DOUBLE_EQ(percentile({1, 2, 3, 4}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(percentile({1, 2, 3, 4, 5}, 0.9), 4.6);
  EXPECT_EQ(percentile({1, 2, 3}, 0), 1);
  EXPECT_EQ(percentile({1, 2, 3}, 1), 3);
}

TEST(Distribution, OfValuesInAnyOrder) {
  const Distribution d = distribution_of({5, 1, 4, 2, 3});
  EXPECT_EQ(d.num_values, 5);
  EXPECT_DOUBLE_EQ(d.mean, 3);
  EXPECT_DOUBLE_EQ(d.p50, 3);
  EXPECT_EQ(d.max, 5);
  EXPECT_EQ(distribution_of({}).num_values, 0);
}

TEST(LoadRecord, CountsFromWhenItWasDue) {
  LoadRecord record = good(1, 5, 9, 5);
  record.sent_s = 4;  // the generator could not send before: the wait counts
  EXPECT_DOUBLE_EQ(record.ttft_s(), 4);
  EXPECT_DOUBLE_EQ(record.e2e_s(), 8);
  EXPECT_DOUBLE_EQ(*record.tpot_s(), 1);
  EXPECT_FALSE(good(0, 1, 1, 1).tpot_s());
}

TEST(LoadSummary, CountsEachKind) {
  std::vector<LoadRecord> records = {good(0, 1, 3, 3), good(1, 2, 2, 1)};
  LoadRecord refused;
  refused.outcome = LoadOutcome::kRefused;
  refused.status = 429;
  refused.retry_after_s = 2;
  refused.error = "full";
  records.push_back(refused);
  records.push_back(refused);
  LoadRecord lost;
  lost.outcome = LoadOutcome::kNoConnection;
  lost.end_s = 8;
  records.push_back(lost);
  const LoadSummary sum = summarize(records, {});
  EXPECT_EQ(sum.num_requests, 5);
  EXPECT_EQ(sum.num_ok, 2);
  EXPECT_EQ(sum.num_refused, 2);
  EXPECT_EQ(sum.num_failed, 1);
  EXPECT_EQ(sum.num_retry_after, 2);
  EXPECT_DOUBLE_EQ(sum.mean_retry_after_s, 2);
  EXPECT_EQ(sum.output_len, 4);
  EXPECT_EQ(sum.prompt_len, 20);
  EXPECT_DOUBLE_EQ(sum.duration_s, 8);
  EXPECT_DOUBLE_EQ(sum.per_s(sum.num_ok), 0.25);
  EXPECT_EQ(sum.ttft_s.num_values, 2);
  EXPECT_EQ(sum.tpot_s.num_values, 1);
  EXPECT_EQ(sum.errors.at("429: full"), 2);
  EXPECT_EQ(sum.errors.at("no connection"), 1);
}

TEST(LoadGoal, BothLimitsMustHold) {
  const LoadRecord record = good(0, 1, 3, 3);  // TTFT 1, TPOT 1
  EXPECT_TRUE((LoadGoal{1.0, 1.0}.is_met(record)));
  EXPECT_FALSE((LoadGoal{0.9, 1.0}.is_met(record)));
  EXPECT_FALSE((LoadGoal{1.0, 0.9}.is_met(record)));
  EXPECT_TRUE((LoadGoal{1.0, 0.1}.is_met(good(0, 1, 1, 1))));  // one token has no TPOT
  LoadRecord failed = record;
  failed.outcome = LoadOutcome::kBroken;
  EXPECT_FALSE(LoadGoal{}.is_met(failed));
  EXPECT_EQ(summarize({record, failed, good(0, 0.1, 0.2, 2)}, {0.5, std::nullopt}).num_good, 1);
}

}  // namespace
}  // namespace quire
