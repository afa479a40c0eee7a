// Caches of several groups, cutting sequences, and several rows of logits a request: examples with numbers.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "base/error.h"
#include "engine/batch.h"
#include "engine/scheduler.h"
#include "engine/scheduler_bench.h"
#include "fake_runner.h"

namespace quire {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens count_up(int num_tokens, int from = 0) {
  Tokens tokens(static_cast<std::size_t>(num_tokens));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

SequencePages run_once(KvCache& kv, const Tokens& tokens) {
  SequencePages seq;
  const PrefixHit hit = kv.find_prefix(seq, tokens, "");
  kv.allocate(seq, hit, static_cast<int>(tokens.size()));
  kv.commit(seq, tokens, "", static_cast<int>(tokens.size()));
  return seq;
}

// Every second layer with a window of 8: in pages of 4 tokens its group never holds more than 3, the other
// one holds all.
TEST(CacheGroups, EachGroupKeepsWhatItsLayersSee) {
  KvCache kv({.num_pages = 100, .page_size = 4, .groups = {CacheGroup{}, window_group(8)}});
  SequencePages seq;
  for (int len = 1; len <= 101; ++len) {
    kv.release_outside_window(seq, len - 1);
    kv.allocate(seq, len);
    ASSERT_EQ(seq.groups[0].num_held(), (len + 3) / 4);
    ASSERT_EQ(seq.groups[1].num_held(), (len - 1) / 4 - std::max(0, len - 8) / 4 + 1) << len;
    ASSERT_LE(seq.groups[1].num_held(), 3);
    ASSERT_EQ(kv.num_held_pages(), seq.num_held());
    ASSERT_EQ(kv.num_unused_slots(), 2 * ((len + 3) / 4 * 4 - len));
  }
  const SequencePages* held[] = {&seq};
  kv.check_integrity(held);
  EXPECT_EQ(kv.num_held_pages(), 26 + 3);
  kv.free(seq);
  kv.check_idle();
}

TEST(CacheGroups, CapacityCountsEveryGroup) {
  // 20 usable pages: a window of 8 takes up to 1 + ceil((7 + 4) / 4) = 4 of them, 16 are left for all tokens.
  EXPECT_EQ(
      KvCache({.num_pages = 21, .page_size = 4, .groups = {CacheGroup{}, window_group(8)}}).capacity_len(4),
      64);
  // Below the window both groups grow alike.
  EXPECT_EQ(
      KvCache({.num_pages = 21, .page_size = 4, .groups = {CacheGroup{}, window_group(80)}}).capacity_len(4),
      40);
  // 16 pages of 12 tokens and the window's 4.
  EXPECT_EQ(
      KvCache({.num_pages = 21, .page_size = 4, .groups = {{Retention::kAllTokens, 0, 3}, window_group(8)}})
          .capacity_len(4),
      192);
  EXPECT_GE(
      KvCache({.num_pages = 6, .page_size = 4, .groups = {state_group(), window_group(8)}}).capacity_len(4),
      1 << 30);
  EXPECT_EQ(
      KvCache({.num_pages = 6, .page_size = 4, .groups = {state_group(), CacheGroup{}}}).capacity_len(4), 16);
}

TEST(CacheGroups, AHitIsAsLongAsEveryGroupCanServe) {
  KvCache kv({.num_pages = 40, .page_size = 4, .groups = {CacheGroup{}, window_group(6)}});
  const Tokens prompt = count_up(33);
  SequencePages first = run_once(kv, prompt);
  SequencePages probe;
  PrefixHit hit = kv.find_prefix(probe, prompt, "");
  EXPECT_EQ(hit.hit_len, 32);
  EXPECT_EQ(hit.num_hit_pages[0], 8);
  EXPECT_EQ(hit.num_hit_pages[1], 2);  // the keys 27 to 31 before the token at 32
  EXPECT_EQ(std::vector<PageId>(hit.pages[1].begin(), hit.pages[1].begin() + 6),
            std::vector<PageId>(6, kNullPage));
  kv.allocate(probe, hit, 33);
  EXPECT_EQ(probe.groups[1].num_released, 6);
  EXPECT_EQ(probe.groups[1].pages[6], first.groups[1].pages[6]);
  const SequencePages* both[] = {&first, &probe};
  kv.check_integrity(both);
  // The window's page of the tokens 24 to 27 goes: what is left of it serves the tokens up to 24, with both
  // groups.
  kv.free(probe);
  kv.release_outside_window(first, 33);  // it sees 28 and later
  EXPECT_EQ(first.groups[1].num_released, 7);
  SequencePages thief;
  while (kv.num_free_pages() > 6)
    kv.allocate(thief, thief.slots_len + 4);  // takes unnamed pages, then the oldest ones
  hit = kv.find_prefix(probe, prompt, "");
  EXPECT_LT(hit.hit_len, 32);
  EXPECT_EQ(hit.hit_len % 4, 0);
  kv.free(thief);
  kv.free(first);
  kv.check_idle();
}

TEST(CacheGroups, PagesOfDifferentLengthsAgreeOnAHit) {
  KvCache kv({.num_pages = 60,
              .page_size = 4,
              .groups = {{Retention::kAllTokens, 0, 3}, window_group(6, 2), CacheGroup{}}});
  SequencePages first = run_once(kv, count_up(100));
  SequencePages probe;
  EXPECT_EQ(kv.find_prefix(probe, count_up(100), "").hit_len, 96);  // a multiple of 12 and of 8
  EXPECT_EQ(kv.find_prefix(probe, count_up(96), "").hit_len, 72);
  EXPECT_EQ(kv.find_prefix(probe, count_up(24), "").hit_len, 0);
  kv.free(first);
  kv.check_idle();
}

TEST(CacheGroups, AStateIsOnePageAndNoPrefix) {
  KvCache kv({.num_pages = 20, .page_size = 4, .groups = {state_group(), CacheGroup{}}});
  const Tokens prompt = count_up(20);
  SequencePages seq = run_once(kv, prompt);
  EXPECT_EQ(seq.groups[0].num_pages(), 1);
  EXPECT_EQ(seq.groups[1].num_pages(), 5);
  SequencePages probe;
  EXPECT_EQ(kv.find_prefix(probe, prompt, "").hit_len, 0);
  EXPECT_EQ(kv.num_missing_pages(seq, {}, 40, 4), 5);
  EXPECT_EQ(kv.num_missing_pages(probe, {}, 20, 4), 6);
  EXPECT_THROW(kv.truncate(seq, 19), Error);
  kv.free(seq);
  kv.check_idle();
}

TEST(Truncate, FreesPagesAndNamesBehindTheEnd) {
  KvCache kv({.num_pages = 20, .page_size = 4});
  const Tokens prompt = count_up(16);
  SequencePages seq = run_once(kv, prompt);
  EXPECT_EQ(kv.truncate(seq, 16), 16);
  EXPECT_EQ(kv.truncate(seq, 9), 9);
  EXPECT_EQ(seq.groups[0].num_pages(), 3);
  EXPECT_EQ(kv.num_held_pages(), 3);
  EXPECT_EQ(kv.num_unused_slots(), 3);
  SequencePages probe;
  EXPECT_EQ(kv.find_prefix(probe, prompt, "").hit_len,
            8);  // the page of 8 to 11 is written again, that behind it is gone
  const SequencePages* held[] = {&seq};
  kv.check_integrity(held);
  Tokens other = count_up(9);
  for (int i = 0; i < 7; ++i) other.push_back(50 + i);
  kv.allocate(seq, 16);
  kv.commit(seq, other, "", 16);
  other.push_back(0);
  SequencePages third;
  EXPECT_EQ(kv.find_prefix(third, other, "").hit_len, 16);
  EXPECT_THROW(kv.truncate(seq, 17), Error);
  EXPECT_THROW(kv.truncate(seq, -1), Error);
  EXPECT_EQ(kv.truncate(seq, 0), 0);
  kv.check_idle();
}

TEST(Truncate, LeavesASharedPageToTheOthers) {
  KvCache kv({.num_pages = 20, .page_size = 4});
  const Tokens prompt = count_up(13);
  SequencePages first = run_once(kv, prompt), second = run_once(kv, prompt);
  EXPECT_EQ(second.groups[0].pages[2], first.groups[0].pages[2]);
  EXPECT_EQ(kv.truncate(second, 10), 8);  // 8 to 11 belong to both
  EXPECT_EQ(second.groups[0].num_pages(), 2);
  SequencePages probe;
  EXPECT_EQ(kv.find_prefix(probe, prompt, "").hit_len, 12);
  const SequencePages* held[] = {&first, &second};
  kv.check_integrity(held);
  kv.free(first);
  kv.free(second);
  kv.check_idle();
}

TEST(Truncate, BehindWhatAWindowLeftNothingIsKept) {
  KvCache kv({.num_pages = 30, .page_size = 4, .groups = {CacheGroup{}, window_group(6)}});
  SequencePages seq;
  kv.allocate(seq, 32);
  kv.release_outside_window(seq, 28);  // sees 23 and later
  EXPECT_EQ(kv.truncate(seq, 29), 29);
  EXPECT_EQ(kv.truncate(seq, 28), 28);
  EXPECT_EQ(kv.truncate(seq, 25), 25);  // sees 20 and later: still there
  EXPECT_EQ(kv.truncate(seq, 24), 0);   // 19 was given back
  kv.check_idle();
}

// A request may ask for the logits behind its last tokens: how drafts are checked in one step.
TEST(LogitRows, BehindTheLastTokensOfEachRequest) {
  for (const int budget : {64, 5}) {
    for (const bool on_runner : {false, true}) {
      SchedulerConfig config;
      config.max_num_batched_tokens = budget;
      config.max_num_seqs = 4;
      config.max_model_len = 100;
      const KvCacheConfig kv{.num_pages = 50, .page_size = 4, .groups = {CacheGroup{}, window_group(8)}};
      Scheduler scheduler(config, kv);
      BatchBuilder builder(kv);
      const FakeModel model(29, kv.groups);
      FakeRunner runner(model, kv.num_pages, kv.page_size);
      Request requests[3];
      for (int i = 0; i < 3; ++i) {
        requests[i].id = static_cast<RequestId>(i + 1);
        requests[i].tokens = count_up(12, 3 * i);
        requests[i].prompt_len = 8;
        requests[i].logits_len = 1 + 2 * i;
        if (on_runner) requests[i].runner_draws_from = 0;
        scheduler.add(requests[i]);
      }
      std::vector<std::vector<std::vector<float>>> rows(3);
      Tokens tokens[3];
      for (int done = 0; done < 3;) {
        const StepPlan& plan = scheduler.schedule();
        const StepResult result = runner.run(builder.build(plan));
        std::size_t row = 0, host_row = 0;
        for (const ScheduledRequest& item : plan.items) {
          const std::size_t i = item.request->id - 1;
          for (int r = 0; r < item.num_logit_rows; ++r, ++row) {
            tokens[i].push_back(result.tokens[row]);
            if (item.runner_draws) continue;
            const auto logits = result.logits.subspan(29 * host_row++, 29);
            rows[i].emplace_back(logits.begin(), logits.end());
          }
          done += item.samples;
        }
        scheduler.complete(plan.items);
        for (const ScheduledRequest item : std::vector<ScheduledRequest>(plan.items)) {
          if (item.samples) scheduler.finish(*item.request);
        }
      }
      for (std::size_t i = 0; i < 3; ++i) {
        const std::size_t num_rows = 1 + 2 * i;
        ASSERT_EQ(tokens[i].size(), num_rows);
        for (std::size_t r = 0; r < num_rows; ++r) {
          const auto expected =
              model.logits_behind(std::span(requests[i].tokens).first(12 - num_rows + 1 + r));
          if (!on_runner) {
            ASSERT_EQ(rows[i].at(r), expected) << "request " << i << ", row " << r;
          } else {
            const auto best = std::max_element(expected.begin(), expected.end()) - expected.begin();
            ASSERT_EQ(tokens[i][r], best) << "request " << i << ", row " << r;
          }
        }
      }
    }
  }
}

// Rows drawn at random: each with the number of the token that it draws.
TEST(LogitRows, DrawWithTheirOwnNumbers) {
  SchedulerConfig config;
  config.max_model_len = 100;
  const KvCacheConfig kv{.num_pages = 50, .page_size = 4};
  Scheduler scheduler(config, kv);
  BatchBuilder builder(kv);
  Request request;
  request.id = 1;
  request.tokens = count_up(12);
  request.prompt_len = 8;
  request.logits_len = 4;
  request.runner_draws_from = 0;
  request.draw_scale = 1.0f;
  scheduler.add(request);
  const StepBatch& batch = builder.build(scheduler.schedule());
  ASSERT_EQ(batch.draws.size(), 4u);
  for (int row = 0; row < 4; ++row) {
    EXPECT_EQ(batch.draws[static_cast<std::size_t>(row)].random, token_draw(request, 9 + row).random) << row;
  }
  EXPECT_EQ(batch.logit_rows, (Tokens{8, 9, 10, 11}));
}

TEST(CacheGroups, WasteFewSlotsOnAHeavyTail) {
  const double one = simulate_kv_waste().unused_percent;
  KvWasteConfig config;
  config.num_requests = 1500;
  config.groups = {CacheGroup{}, window_group(1024)};
  const double alternating = simulate_kv_waste(config).unused_percent;
  EXPECT_LT(alternating, 4.0);
  EXPECT_GT(alternating, one / 2);
  config.groups = {{Retention::kAllTokens, 0, 3}, window_group(1024)};  // one layer of four keeps everything
  EXPECT_LT(simulate_kv_waste(config).unused_percent, 5.0);
}

}  // namespace
}  // namespace quire
