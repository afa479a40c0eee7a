#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "base/error.h"
#include "engine/batch.h"

namespace quire {
namespace {

std::unique_ptr<Request> make_request(RequestId id, int prompt_len, int max_tokens, int priority = 0,
                                      int token = 0) {
  auto request = std::make_unique<Request>();
  request->id = id;
  request->prompt_len = prompt_len;
  request->tokens.assign(static_cast<std::size_t>(prompt_len), token ? token : static_cast<int>(id));
  request->params.max_tokens = max_tokens;
  request->params.priority = priority;
  return request;
}

SchedulerConfig config(int max_num_seqs, int budget, int max_model_len = 1000) {
  SchedulerConfig config;
  config.max_num_seqs = max_num_seqs;
  config.max_num_batched_tokens = budget;
  config.max_model_len = max_model_len;
  return config;
}

// Computes a planned step: every request that samples gets one more token.
void compute(Scheduler& scheduler, const StepPlan& plan) {
  scheduler.complete(plan.items);
  for (const ScheduledRequest& item : plan.items) {
    if (item.samples) item.request->append(1);
  }
}

std::vector<std::pair<RequestId, int>> items_of(const StepPlan& plan) {
  std::vector<std::pair<RequestId, int>> items;
  for (const ScheduledRequest& item : plan.items) items.emplace_back(item.request->id, item.query_len);
  return items;
}

using Items = std::vector<std::pair<RequestId, int>>;

TEST(Scheduler, SharesOneBudgetBetweenPromptsAndOutputs) {
  Scheduler scheduler(config(8, 10), {.num_pages = 100, .page_size = 4});
  auto a = make_request(1, 3, 5), b = make_request(2, 25, 5), c = make_request(3, 4, 5);
  for (auto* request : {&a, &b, &c}) scheduler.add(**request);
  const StepPlan* plan = &scheduler.schedule();
  EXPECT_EQ(items_of(*plan), (Items{{1, 3}, {2, 7}}));
  EXPECT_TRUE(plan->items[0].samples);
  EXPECT_FALSE(plan->items[1].samples);
  compute(scheduler, *plan);
  plan = &scheduler.schedule();
  EXPECT_EQ(items_of(*plan), (Items{{1, 1}, {2, 9}}));
  compute(scheduler, *plan);
  plan = &scheduler.schedule();
  EXPECT_EQ(items_of(*plan), (Items{{1, 1}, {2, 9}}));
  EXPECT_TRUE(plan->items[1].samples);
  compute(scheduler, *plan);
  EXPECT_EQ(items_of(scheduler.schedule()), (Items{{1, 1}, {2, 1}, {3, 4}}));
  scheduler.check_integrity();
}

TEST(Scheduler, KeepsATokenForEveryRunningRequest) {
  SchedulerConfig chunked = config(4, 8);
  chunked.long_prefill_token_threshold = 4;
  Scheduler scheduler(chunked, {.num_pages = 100, .page_size = 4, .has_prefix_cache = false});
  auto a = make_request(1, 100, 5), b = make_request(2, 4, 5), c = make_request(3, 4, 5),
       d = make_request(4, 4, 5);
  for (auto* request : {&a, &b, &c, &d}) scheduler.add(**request);
  compute(scheduler, scheduler.schedule());  // a 4, b 4
  compute(scheduler, scheduler.schedule());  // a 4, b 1, c 3
  EXPECT_EQ(items_of(scheduler.schedule()), (Items{{1, 4}, {2, 1}, {3, 1}, {4, 2}}));
}

TEST(Scheduler, BudgetBoundsTheNumberOfRunningRequests) {
  Scheduler scheduler(config(100, 2), {.num_pages = 100, .page_size = 4, .has_prefix_cache = false});
  auto a = make_request(1, 1, 5), b = make_request(2, 1, 5), c = make_request(3, 1, 5);
  for (auto* request : {&a, &b, &c}) scheduler.add(**request);
  EXPECT_EQ(items_of(scheduler.schedule()), (Items{{1, 1}, {2, 1}}));
}

TEST(Scheduler, RefusesWhatNeverFits) {
  Scheduler scheduler(config(4, 64, 1000), {.num_pages = 11, .page_size = 4});
  EXPECT_EQ(scheduler.max_len(), 40);
  auto fits = make_request(1, 39, 100), never = make_request(2, 40, 1), empty = make_request(3, 0, 1);
  scheduler.add(*fits);
  EXPECT_EQ(fits->max_len, 40);
  try {
    scheduler.add(*never);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    EXPECT_EQ(std::string(error.what()).rfind("prompt has 40 tokens", 0), 0u);
  }
  EXPECT_THROW(scheduler.add(*empty), Error);
}

TEST(Scheduler, RefusesBadConfigurations) {
  const KvCacheConfig kv{.num_pages = 10, .page_size = 4};
  EXPECT_THROW(Scheduler(config(0, 8), kv), Error);
  EXPECT_THROW(Scheduler(config(8, 0), kv), Error);
  EXPECT_THROW(Scheduler(config(8, 8, 1), kv), Error);
  SchedulerConfig negative = config(8, 8);
  negative.long_prefill_token_threshold = -1;
  EXPECT_THROW(Scheduler(negative, kv), Error);
}

TEST(Scheduler, AdmitsOnlyWhatFitsWholeAndKeepsOrder) {
  Scheduler scheduler(config(8, 8), {.num_pages = 11, .page_size = 4, .has_prefix_cache = false});
  auto a = make_request(1, 20, 5), b = make_request(2, 30, 5), c = make_request(3, 1, 5);
  for (auto* request : {&a, &b, &c}) scheduler.add(**request);
  compute(scheduler, scheduler.schedule());
  compute(scheduler, scheduler.schedule());
  // a holds 4 pages and 1 is promised to it; b needs 8 of the remaining 5; c must not overtake b.
  EXPECT_EQ(items_of(scheduler.schedule()), (Items{{1, 4}}));
  EXPECT_EQ(scheduler.num_waiting(), 2);
  scheduler.finish(*a);
  EXPECT_EQ(items_of(scheduler.schedule()), (Items{{2, 8}}));
}

TEST(Scheduler, FcfsPreemptsTheLastAndTakesItBackFirst) {
  Scheduler scheduler(config(8, 64), {.num_pages = 7, .page_size = 4, .has_prefix_cache = false});
  auto a = make_request(1, 12, 50), b = make_request(2, 12, 50), c = make_request(3, 1, 50);
  for (auto* request : {&a, &b, &c}) scheduler.add(**request);
  compute(scheduler, scheduler.schedule());  // both fill their pages
  const StepPlan& plan = scheduler.schedule();
  EXPECT_EQ(items_of(plan), (Items{{1, 1}}));
  EXPECT_EQ(plan.num_preempted, 1);
  EXPECT_EQ(b->computed_len, 0);
  EXPECT_EQ(b->num_tokens(), 13);  // the sampled token is kept
  compute(scheduler, plan);
  scheduler.check_integrity();
  scheduler.finish(*a);
  EXPECT_EQ(items_of(scheduler.schedule()), (Items{{2, 13}, {3, 1}}));
}

TEST(Scheduler, PriorityPreemptsTheWorst) {
  SchedulerConfig by_priority = config(8, 64);
  by_priority.policy = SchedulingPolicy::kPriority;
  Scheduler scheduler(by_priority, {.num_pages = 7, .page_size = 4, .has_prefix_cache = false});
  auto low = make_request(1, 12, 50, 5), high = make_request(2, 12, 50, -5);
  scheduler.add(*low);
  compute(scheduler, scheduler.schedule());
  scheduler.add(*high);
  compute(scheduler, scheduler.schedule());  // low takes its 4th page, high does not fit
  EXPECT_EQ(scheduler.num_waiting(), 1);
  for (int i = 0; i < 8; ++i) {  // up to 22 tokens: low stays within the 6 pages that there are
    compute(scheduler, scheduler.schedule());
    scheduler.check_integrity();
  }
  EXPECT_EQ(high->state, RequestState::kWaiting);  // who runs is not put out for one who waits
  scheduler.finish(*low);
  auto late = make_request(3, 8, 50, 5);
  scheduler.add(*late);
  compute(scheduler, scheduler.schedule());
  EXPECT_EQ(scheduler.num_running(), 2);
  while (late->state == RequestState::kRunning) compute(scheduler, scheduler.schedule());
  EXPECT_EQ(high->state, RequestState::kRunning);
  scheduler.check_integrity();
}

TEST(Scheduler, PriorityVictimReturnsItsTurn) {
  SchedulerConfig by_priority = config(8, 64);
  by_priority.policy = SchedulingPolicy::kPriority;
  Scheduler scheduler(by_priority, {.num_pages = 7, .page_size = 4, .has_prefix_cache = false});
  auto low = make_request(1, 9, 50, 5), high = make_request(2, 12, 50, -5);
  scheduler.add(*low);
  compute(scheduler, scheduler.schedule());
  scheduler.add(*high);
  compute(scheduler, scheduler.schedule());     // low 10 tokens in 3 pages, high 12 in 3
  const StepPlan& plan = scheduler.schedule();  // low has its turn first, then high needs a page
  EXPECT_EQ(items_of(plan), (Items{{2, 1}}));
  EXPECT_EQ(plan.num_tokens, 1);
  EXPECT_EQ(plan.num_logit_rows, 1);
  EXPECT_EQ(low->state, RequestState::kWaiting);
  scheduler.check_integrity();
}

TEST(Scheduler, SharesAPrefixWithinOneStep) {
  Scheduler scheduler(config(8, 100), {.num_pages = 100, .page_size = 4});
  auto a = make_request(1, 21, 5, 0, 7), b = make_request(2, 21, 5, 0, 7);
  scheduler.add(*a);
  scheduler.add(*b);
  EXPECT_EQ(items_of(scheduler.schedule()), (Items{{1, 21}, {2, 1}}));
  EXPECT_EQ(b->cached_len, 20);
  EXPECT_EQ(scheduler.stats().prefix_hit_tokens, 20);
  EXPECT_EQ(scheduler.stats().prefix_query_tokens, 42);
  scheduler.check_integrity();
}

TEST(Scheduler, UntrustedPagesAreNotShared) {
  Scheduler scheduler(config(8, 100), {.num_pages = 100, .page_size = 4});
  auto a = make_request(1, 21, 5, 0, 7), b = make_request(2, 21, 5, 0, 7);
  scheduler.add(*a);
  compute(scheduler, scheduler.schedule());
  scheduler.finish(*a, false);
  scheduler.check_idle();
  scheduler.add(*b);
  EXPECT_EQ(items_of(scheduler.schedule()), (Items{{2, 21}}));
}

// A group's arrays of a batch against the plan, entry by entry.
void check_group(const StepBatch& batch, const StepPlan& plan, const KvCacheConfig& kv, std::size_t g) {
  const GroupBatch& group = batch.groups[g];
  const int page_tokens = kv.page_tokens(g);
  if (!kv.groups[g].grows()) {
    ASSERT_TRUE(group.slot_mapping.empty());
  }
  std::size_t token = 0;
  for (std::size_t s = 0; s < plan.items.size(); ++s) {
    const ScheduledRequest& item = plan.items[s];
    const std::vector<PageId>& pages = item.request->pages.groups[g].pages;
    for (int i = 0; kv.groups[g].grows() && i < item.query_len; ++i, ++token) {
      const int position = item.computed_len + i;
      const PageId page = pages.at(static_cast<std::size_t>(position / page_tokens));
      ASSERT_EQ(group.slot_mapping[token], page * page_tokens + position % page_tokens);
    }
    for (std::size_t i = 0; i < pages.size(); ++i) {
      ASSERT_EQ(group.page_table.at(s * static_cast<std::size_t>(group.max_pages) + i), pages[i]);
    }
  }
}

// The arrays of a batch against the plan, entry by entry.
void check_batch(const StepBatch& batch, const StepPlan& plan, const KvCacheConfig& kv) {
  ASSERT_EQ(batch.num_seqs, static_cast<int>(plan.items.size()));
  ASSERT_EQ(batch.num_tokens, plan.num_tokens);
  std::vector<std::int32_t> logit_rows;
  std::size_t token = 0;
  for (std::size_t s = 0; s < plan.items.size(); ++s) {
    const ScheduledRequest& item = plan.items[s];
    ASSERT_EQ(batch.query_indptr[s], static_cast<int>(token));
    ASSERT_EQ(batch.kv_len[s], item.computed_len + item.query_len);
    for (int i = 0; i < item.query_len; ++i, ++token) {
      const auto position = static_cast<std::size_t>(item.computed_len + i);
      ASSERT_EQ(batch.token_ids[token], item.request->tokens.at(position));
      ASSERT_EQ(batch.positions[token], static_cast<int>(position));
    }
    if (item.samples) logit_rows.push_back(static_cast<int>(token) - 1);
  }
  ASSERT_EQ(batch.query_indptr.size(), plan.items.size() + 1);
  ASSERT_EQ(batch.query_indptr.back(), static_cast<int>(token));
  ASSERT_EQ(batch.logit_rows, logit_rows);
  ASSERT_EQ(batch.groups.size(), kv.groups.size());
  for (std::size_t g = 0; g < kv.groups.size(); ++g) ASSERT_NO_FATAL_FAILURE(check_group(batch, plan, kv, g));
}

class RandomLoad {
 public:
  explicit RandomLoad(unsigned seed) : random_(seed) {
    kv_ = {.num_pages = 6 + pick(40), .page_size = 1 + pick(5), .has_prefix_cache = pick(3) > 0};
    kv_.groups[0] = pick(3) == 0 ? window_group(1 + pick(12)) : CacheGroup{};
    while (seed % 2 == 1 && pick(2) == 0 && kv_.groups.size() < 5) {
      kv_.groups.push_back(pick(4) == 0   ? state_group()
                           : pick(2) == 0 ? window_group(1 + pick(12), 1 + pick(3))
                                          : CacheGroup{});
      kv_.num_pages += 10;
    }
    config_ = config(1 + pick(12), 1 + pick(30), 4 + pick(100));
    config_.long_prefill_token_threshold = pick(2) == 0 ? 0 : 1 + pick(10);
    config_.policy = pick(2) == 0 ? SchedulingPolicy::kFcfs : SchedulingPolicy::kPriority;
    forces_ = pick(2) == 0;
    scheduler_ = std::make_unique<Scheduler>(config_, kv_);
    builder_ = std::make_unique<BatchBuilder>(kv_);
  }

  // Random arrivals, cancellations and preemptions; then the queue runs dry.
  void run() {
    for (int i = 0; i < 300; ++i) {
      if (pick(2) == 0) submit();
      if (pick(10) == 0) cancel();
      if (forces_ && pick(10) == 0) preempt();
      ASSERT_NO_FATAL_FAILURE(step());
    }
    for (int i = 0; !live_.empty(); ++i) {
      ASSERT_LT(i, 200000) << live_.size() << " requests starve";
      ASSERT_NO_FATAL_FAILURE(step());
    }
    scheduler_->check_idle();
  }
  std::int64_t num_preemptions() const { return scheduler_->stats().num_preemptions; }

 private:
  int pick(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

  void submit() {
    const int prompt_len = 1 + pick(scheduler_->max_len() - 1 < 60 ? scheduler_->max_len() - 1 : 60);
    auto request = make_request(next_id_, prompt_len, 1 + pick(30), 0, 1 + pick(2));
    if (config_.policy == SchedulingPolicy::kPriority) request->params.priority = pick(3);
    scheduler_->add(*request);
    live_.emplace(next_id_++, std::move(request));
  }
  void cancel() {
    if (live_.empty()) return;
    const auto victim = std::next(live_.begin(), pick(static_cast<int>(live_.size())));
    scheduler_->finish(*victim->second, pick(2) == 0);
    live_.erase(victim);
  }
  void preempt() {
    for (auto& [id, request] : live_) {
      if (request->state != RequestState::kRunning || pick(3) > 0) continue;
      was_forced_ = true;  // out of turn: from now on a later request may run while an earlier one waits
      return scheduler_->force_preempt(*request);
    }
  }

  void step() {
    const StepPlan& plan = scheduler_->schedule();
    scheduler_->check_integrity();
    ASSERT_EQ(plan.items.empty(), live_.empty());
    if (plan.items.empty()) return;
    ASSERT_LE(plan.num_tokens, config_.max_num_batched_tokens);
    ASSERT_LE(scheduler_->num_running(), config_.max_num_seqs);
    int num_tokens = 0;
    std::set<const Request*> planned;
    for (const ScheduledRequest& item : plan.items) {
      ASSERT_GE(item.query_len, 1);
      ASSERT_TRUE(planned.insert(item.request).second);
      ASSERT_EQ(item.request->state, RequestState::kRunning);
      if (config_.long_prefill_token_threshold > 0) {
        ASSERT_LE(item.query_len, config_.long_prefill_token_threshold);
      }
      num_tokens += item.query_len;
    }
    ASSERT_EQ(num_tokens, plan.num_tokens);
    ASSERT_EQ(static_cast<int>(planned.size()), scheduler_->num_running());  // nobody who runs is left out
    ASSERT_NO_FATAL_FAILURE(check_order());
    ASSERT_NO_FATAL_FAILURE(check_batch(builder_->build(plan), plan, kv_));
    compute(*scheduler_, plan);
    for (const ScheduledRequest& item : plan.items) {
      if (item.request->num_tokens() < item.request->max_len) continue;
      scheduler_->finish(*item.request);
      live_.erase(item.request->id);
    }
    scheduler_->check_integrity();
  }

  // First come, first served: nobody who waits came before anybody who runs.
  void check_order() {
    if (config_.policy != SchedulingPolicy::kFcfs) return;
    std::int64_t last_running = -1, first_waiting = 1 << 30;
    for (auto& [id, request] : live_) {
      if (request->state == RequestState::kRunning) last_running = std::max(last_running, request->arrival);
      if (request->state == RequestState::kWaiting) first_waiting = std::min(first_waiting, request->arrival);
    }
    if (was_forced_) return;
    ASSERT_LT(last_running, first_waiting);
  }

  std::mt19937 random_;
  KvCacheConfig kv_;
  SchedulerConfig config_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<BatchBuilder> builder_;
  std::map<RequestId, std::unique_ptr<Request>> live_;
  RequestId next_id_ = 1;
  bool forces_ = false;
  bool was_forced_ = false;
};

TEST(Scheduler, HoldsItsPromisesUnderRandomLoad) {
  std::int64_t num_preemptions = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    RandomLoad load(seed);
    load.run();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    num_preemptions += load.num_preemptions();
  }
  EXPECT_GT(num_preemptions, 1000);
}

}  // namespace
}  // namespace quire
