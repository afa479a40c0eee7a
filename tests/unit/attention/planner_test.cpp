#include "attention/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <tuple>

#include "attention/reference.h"
#include "base/error.h"

namespace quire {
namespace {

BatchKindCaps caps_of(int num_programs, int rows = 64, int keys = 256) {
  BatchKindCaps caps;
  caps.num_programs = num_programs;
  caps.rows = caps.invariant_rows = rows;
  caps.keys = keys;
  return caps;
}

AttentionDesc desc_of(int num_qo_heads, int num_kv_heads) {
  AttentionDesc d;
  d.num_qo_heads = num_qo_heads;
  d.num_kv_heads = num_kv_heads;
  d.head_dim_qk = d.head_dim_vo = 64;
  d.sm_scale = 1;
  return d;
}

struct Batch {
  std::vector<std::int32_t> query_len, kv_len;
  AttentionLengths lengths() const { return {query_len, kv_len}; }
};

AttentionSchedule schedule_of(const AttentionDesc& d, const BatchKindCaps& caps, const Batch& batch) {
  AttentionSchedule schedule;
  make_schedule(d, caps, batch.lengths(), schedule);
  return schedule;
}

// What the work items of one (token, head) cover, and the promises about each item.
class Coverage {
 public:
  Coverage(const AttentionDesc& d, const BatchKindCaps& caps, const Batch& batch)
      : d_(d), caps_(caps), batch_(batch) {
    int first = 0;
    for (const int len : batch.query_len) {
      token_begin_.push_back(first);
      first += len;
    }
  }

  void add(const AttentionWork& w) {
    check_item(w);
    const int group_size = d_.num_qo_heads / d_.num_kv_heads;
    for (int t = 0; t < w.num_tokens; ++t) {
      for (int h = 0; h < w.num_heads; ++h) {
        ranges_[{w.token_begin + t, w.kv_head * group_size + w.group_begin + h}].push_back(
            {w.kv_begin, w.kv_end});
      }
    }
  }

  // Every row's ranges are disjoint and hold all that it sees; rows without keys still have one item that
  // writes them.
  void check() {
    for (std::size_t s = 0; s < batch_.query_len.size(); ++s) {
      for (int t = 0; t < batch_.query_len[s]; ++t) {
        const int position = batch_.kv_len[s] - batch_.query_len[s] + t;
        const VisibleKeys seen = reference_visible_keys(d_, position, batch_.kv_len[s]);
        for (int h = 0; h < d_.num_qo_heads; ++h) check_row({token_begin_[s] + t, h}, seen);
      }
    }
    EXPECT_TRUE(ranges_.empty()) << "work for rows that do not exist";
  }

 private:
  void check_item(const AttentionWork& w) const {
    ASSERT_GE(w.seq_idx, 0);
    const auto s = static_cast<std::size_t>(w.seq_idx);
    ASSERT_LT(s, batch_.kv_len.size());
    const int first = w.token_begin - token_begin_[s];
    EXPECT_GE(first, 0);
    EXPECT_LE(first + w.num_tokens, batch_.query_len[s]);
    EXPECT_EQ(w.position, batch_.kv_len[s] - batch_.query_len[s] + first);
    EXPECT_EQ(w.kv_len, batch_.kv_len[s]);
    EXPECT_GT(w.num_tokens, 0);
    EXPECT_GT(w.num_heads, 0);
    EXPECT_LE(w.num_tokens * w.num_heads, caps_.rows);
    EXPECT_GE(w.kv_begin, 0);
    EXPECT_LE(w.kv_begin, w.kv_end);
    EXPECT_LE(w.kv_end, w.kv_len);
    EXPECT_GE(w.split_idx, 0);
    EXPECT_LT(w.split_idx, w.num_splits);
    // Inner boundaries lie between key tiles, in invariant mode at fixed places.
    const int step = d_.batch_invariant ? kInvariantSplitKeys : caps_.keys;
    const bool is_empty = w.kv_begin == w.kv_end;
    EXPECT_TRUE(w.split_idx == 0 || w.kv_begin % step == 0);
    EXPECT_TRUE(w.split_idx + 1 == w.num_splits || w.kv_end % step == 0);
    EXPECT_TRUE(w.num_splits == 1 || !is_empty);
    if (d_.batch_invariant && !is_empty) {
      EXPECT_EQ(w.kv_begin / kInvariantSplitKeys, (w.kv_end - 1) / kInvariantSplitKeys);
    }
    // Nothing to the left of the first row's window: those pages may be gone.
    const long left = d_.window > 0 ? std::max(0l, long{w.position} - d_.window + 1) : 0;
    EXPECT_TRUE(is_empty || w.kv_begin >= left);
  }

  void check_row(std::pair<int, int> row, VisibleKeys seen) {
    const auto found = ranges_.find(row);
    ASSERT_NE(found, ranges_.end()) << "no work for token " << row.first << ", head " << row.second;
    std::vector<std::pair<int, int>> ranges = found->second;
    ranges_.erase(found);
    std::sort(ranges.begin(), ranges.end());
    for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_EQ(ranges[i - 1].second, ranges[i].first);
    if (seen.begin == seen.end) return;
    EXPECT_LE(ranges.front().first, seen.begin);
    EXPECT_GE(ranges.back().second, seen.end);
  }

  const AttentionDesc& d_;
  const BatchKindCaps& caps_;
  const Batch& batch_;
  std::vector<int> token_begin_;
  std::map<std::pair<int, int>, std::vector<std::pair<int, int>>> ranges_;
};

void check_schedule(const AttentionDesc& d, const BatchKindCaps& caps, const Batch& batch) {
  const AttentionSchedule schedule = schedule_of(d, caps, batch);
  Coverage coverage(d, caps, batch);
  std::map<int, std::vector<const AttentionWork*>> by_counter;
  for (const AttentionWork& w : schedule.work()) {
    coverage.add(w);
    if (w.num_splits > 1) by_counter[w.counter_idx].push_back(&w);
  }
  coverage.check();
  // Splits of one row block share a counter and neighbouring partial rows, and no two blocks share either.
  EXPECT_EQ(by_counter.size(), static_cast<std::size_t>(schedule.num_counters));
  std::vector<bool> used(static_cast<std::size_t>(schedule.num_partial_rows));
  for (const auto& [counter, parts] : by_counter) {
    EXPECT_LT(counter, schedule.num_counters);
    EXPECT_EQ(parts.size(), static_cast<std::size_t>(parts[0]->num_splits));
    for (const AttentionWork* w : parts) {
      EXPECT_EQ(w->partial_begin, parts[0]->partial_begin);
      const int rows = w->num_tokens * w->num_heads;
      for (int row = 0; row < rows; ++row) {
        const auto slot = static_cast<std::size_t>(w->partial_begin + w->split_idx * rows + row);
        ASSERT_LT(slot, used.size());
        EXPECT_FALSE(used[slot]);
        used[slot] = true;
      }
    }
  }
  EXPECT_TRUE(std::all_of(used.begin(), used.end(), [](bool b) { return b; }));
}

TEST(Planner, EveryVisibleKeyOfEveryRowIsCoveredOnce) {
  std::mt19937 random(7);
  const auto between = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int i = 0; i < 400; ++i) {
    const int group_size =
        std::vector<int>{1, 2, 3, 4, 7, 8, 14, 32, 71, 200}[static_cast<std::size_t>(between(0, 9))];
    const int num_kv_heads = between(1, 3);
    AttentionDesc d = desc_of(group_size * num_kv_heads, num_kv_heads);
    d.causal = between(0, 2) > 0;
    d.window = between(0, 1) == 0 ? 0 : between(1, 3000);
    d.batch_invariant = between(0, 3) == 0;
    Batch batch;
    const int num_seqs = between(0, 5);
    for (int s = 0; s < num_seqs; ++s) {
      const int query_len = between(0, 3) == 0 ? between(0, 1) : between(0, 60);
      const int context = between(0, 3) == 0 ? between(0, 20000) : between(0, 300);
      batch.query_len.push_back(query_len);
      batch.kv_len.push_back(d.causal || between(0, 1) == 0 ? query_len + context : between(0, 40));
    }
    BatchKindCaps caps = caps_of(std::vector<int>{1, 2, 16, 128}[static_cast<std::size_t>(between(0, 3))],
                              between(0, 1) == 0 ? 64 : 128, between(0, 1) == 0 ? 256 : 64);
    caps.split_policy.item_cost_tiles = between(0, 2);
    check_schedule(d, caps, batch);
    if (HasFailure()) FAIL() << "random batch " << i;
  }
}

TEST(Planner, EmptyBatchAndPaddingHaveNoWork) {
  EXPECT_TRUE(schedule_of(desc_of(8, 2), caps_of(4), {{}, {}}).work().empty());
  EXPECT_TRUE(schedule_of(desc_of(8, 2), caps_of(4), {{0, 0, 0}, {0, 17, 5000}}).work().empty());
}

TEST(Planner, LongContextIsSplitForAllPrograms) {
  const AttentionDesc d = desc_of(8, 1);
  const Batch batch{{1}, {100000}};
  EXPECT_EQ(schedule_of(d, caps_of(1), batch).work().size(), 1u);
  EXPECT_GE(schedule_of(d, caps_of(16), batch).work().size(), 16u);
  EXPECT_GE(schedule_of(d, caps_of(16), {{5}, {100000}}).work().size(), 16u);  // a verification as well
  // Enough requests fill the device without splits.
  EXPECT_EQ(
      schedule_of(d, caps_of(2), {std::vector<std::int32_t>(64, 1), std::vector<std::int32_t>(64, 2000)})
          .num_partial_rows,
      0);
}

// Where starting an item is expensive, items are as long as they can be while all programs have one.
TEST(Planner, CostlyItemsFillWholeRoundsOfPrograms) {
  BatchKindCaps caps = caps_of(132, 128, 128);
  caps.split_policy.item_cost_tiles = 2;
  caps.split_policy.min_split_tiles = 1;
  const AttentionDesc d = desc_of(32, 8);
  const auto num_items = [&](int num_seqs, int kv_len) {
    const auto n = static_cast<std::size_t>(num_seqs);
    const Batch batch{std::vector<std::int32_t>(n, 1), std::vector<std::int32_t>(n, kv_len)};
    return schedule_of(d, caps, batch).work().size();
  };
  EXPECT_EQ(num_items(1, 32768), 128u);  // 8 heads of 256 tiles: 16 parts each, one round of 132 programs
  EXPECT_EQ(num_items(8, 2048), 128u);   // 64 heads of 16 tiles: 2 parts each
  EXPECT_EQ(num_items(32, 2048), 256u);  // two rounds, nothing to split
  EXPECT_EQ(num_items(1, 100), 8u);      // one tile each
}

TEST(Planner, LongestWorkComesFirst) {
  const AttentionSchedule schedule =
      schedule_of(desc_of(4, 1), caps_of(2), {{1, 300, 1, 40}, {50, 300, 4000, 900}});
  const auto cost = [](const AttentionWork& w) {
    return long{w.kv_end - w.kv_begin} * (w.num_tokens * w.num_heads + 8);
  };
  for (std::size_t i = 1; i < schedule.work().size(); ++i)
    EXPECT_GE(cost(schedule.work()[i - 1]), cost(schedule.work()[i]));
}

// A page's heads lie side by side in memory, so those who read them run at about the same time.
TEST(Planner, HeadsOfTheSameKeysAreNeighbours) {
  BatchKindCaps caps = caps_of(132, 128, 128);
  caps.split_policy.item_cost_tiles = 2;
  const AttentionSchedule schedule = schedule_of(desc_of(32, 8), caps, {{1, 300, 1}, {9000, 300, 9000}});
  ASSERT_EQ(schedule.work().size() % 8, 0u);
  EXPECT_GT(schedule.num_partial_rows, 0);
  for (std::size_t i = 0; i < schedule.work().size(); ++i) {
    const AttentionWork &w = schedule.work()[i], &first = schedule.work()[i - i % 8];
    EXPECT_EQ(w.kv_head, static_cast<int>(i % 8));
    EXPECT_EQ(std::tie(w.token_begin, w.kv_begin, w.split_idx), std::tie(first.token_begin, first.kv_begin, first.split_idx));
  }
}

TEST(Planner, WindowPrunesKeys) {
  AttentionDesc d = desc_of(1, 1);
  d.window = 1024;  // position 5000 sees keys 3977 to 5000: tiles of 32 from number 124 on, 33 of them
  const AttentionSchedule schedule = schedule_of(d, caps_of(1, 64, 32), {{1}, {5001}});
  ASSERT_EQ(schedule.work().size(), 1u);
  const AttentionWork& w = schedule.work()[0];
  EXPECT_EQ(w.kv_begin, 3977);
  EXPECT_EQ(w.kv_end, 5001);
  EXPECT_EQ(w.kv_begin / 32, 124);
  EXPECT_EQ((w.kv_end - 1) / 32 + 1 - w.kv_begin / 32, 33);
}

TEST(Planner, NonCausalKeysEndAtTheSequence) {
  AttentionDesc d = desc_of(1, 1);
  d.causal = false;
  const AttentionSchedule all = schedule_of(d, caps_of(1), {{100}, {130}});
  for (const AttentionWork& w : all.work()) EXPECT_EQ(w.kv_end, 130);
  d.window = 5;
  const AttentionSchedule near = schedule_of(d, caps_of(1), {{200}, {130}});
  for (const AttentionWork& w : near.work()) EXPECT_LE(w.kv_end, 130);
}

// A token's splits in invariant mode are a matter of its own keys: the same whatever else is in the batch and
// however many programs run.
TEST(Planner, InvariantBoundariesDoNotDependOnTheBatch) {
  AttentionDesc d = desc_of(6, 2);
  d.batch_invariant = true;
  using Boundaries = std::vector<std::pair<int, int>>;
  const auto boundaries = [&](const BatchKindCaps& caps, const Batch& batch, int seq_idx) {
    Boundaries result;
    const AttentionSchedule schedule = schedule_of(d, caps, batch);
    for (const AttentionWork& w : schedule.work()) {
      if (w.seq_idx == seq_idx && w.kv_head == 0) result.push_back({w.kv_begin, w.kv_end});
    }
    std::sort(result.begin(), result.end());
    return result;
  };
  const Boundaries alone = boundaries(caps_of(1), {{1}, {9000}}, 0);
  EXPECT_EQ(alone, (Boundaries{{0, 4096}, {4096, 8192}, {8192, 9000}}));
  EXPECT_EQ(boundaries(caps_of(64), {{1}, {9000}}, 0), alone);
  EXPECT_EQ(boundaries(caps_of(64), {{700, 1, 1}, {700, 9000, 33000}}, 1), alone);
}

TEST(Planner, BadLengthsAreRefusedByName) {
  const AttentionDesc d = desc_of(4, 2);
  const auto message = [&](const Batch& batch) -> std::string {
    try {
      schedule_of(d, caps_of(2), batch);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kInvalidArgument);
      return e.what();
    }
    return "no error";
  };
  EXPECT_NE(message({{1, 2}, {5}}).find("2 query lengths but 1 kv lengths"), std::string::npos);
  EXPECT_NE(message({{1, 5}, {1, 4}}).find("request 1: kv_len 4 is less than its query_len 5"),
            std::string::npos);
  EXPECT_NE(message({{1, -1}, {1, 4}}).find("request 1"), std::string::npos);
  EXPECT_NE(message({{1}, {-4}}).find("-4"), std::string::npos);
  EXPECT_NE(message({{1}, {0x7fffffff}}).find("2147483647"), std::string::npos);
  EXPECT_NE(message({{1 << 30, 1}, {1 << 30, 1}}).find("tokens"), std::string::npos);
}

TEST(Planner, ScheduleIsReplacedNotExtended) {
  AttentionSchedule schedule;
  const Batch first{{1, 1}, {9000, 9000}}, second{{1}, {10}};
  make_schedule(desc_of(4, 1), caps_of(16), first.lengths(), schedule);
  EXPECT_GT(schedule.num_partial_rows, 0);
  make_schedule(desc_of(4, 1), caps_of(16), second.lengths(), schedule);
  EXPECT_EQ(schedule.work().size(), 1u);
  EXPECT_EQ(schedule.num_partial_rows, 0);
  EXPECT_EQ(schedule.num_counters, 0);
}

}  // namespace
}  // namespace quire
