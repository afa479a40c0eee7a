// Steps that are started before the tokens of the one before them are known.
#include "test_engine.h"

namespace quire {
namespace {

// With random arrivals, preemptions and cancellations; who is not cancelled gets what it would get alone.
void check_ahead(const EngineSetup& setup, const std::vector<Job>& jobs,
                 const std::vector<RequestOutput>& expected, unsigned seed, int& num_ahead, int& num_random) {
  std::mt19937 random(seed);
  TestEngine test(setup, {5, 6});
  std::size_t num_submitted = 0;
  while (num_submitted < jobs.size() || test.engine.has_work()) {
    while (num_submitted < jobs.size() && random() % 6) {
      Job job = jobs[num_submitted++];
      if (setup.policy == SchedulingPolicy::kPriority) job.params.priority = random() % 3;
      test.submit(num_submitted, job);
    }
    if (random() % 16 == 0) test.engine.preempt(1 + random() % jobs.size());
    if (random() % 16 == 0) {
      const RequestId id = 1 + random() % jobs.size();
      const RequestOutput output = test.engine.cancel(id);
      if (output.is_last()) test.collect(id, output);
    }
    if (test.engine.has_work()) test.step();
  }
  test.engine.scheduler().check_idle();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const RequestOutput& result = test.results[i + 1];
    if (result.finish_reason != FinishReason::kAbort) {
      ASSERT_NO_FATAL_FAILURE(expect_equal(result, expected[i])) << "job " << i;
    } else {
      ASSERT_LE(result.token_ids.size(), expected[i].token_ids.size()) << "job " << i;
      ASSERT_TRUE(std::equal(result.token_ids.begin(), result.token_ids.end(), expected[i].token_ids.begin()))
          << "job " << i;
    }
  }
  num_ahead += test.runner->num_ahead;
  num_random += test.runner->num_random;
}

TEST(RunAhead, ChangesNothing) {
  const std::vector<Job> jobs = random_plain_jobs(3, 48);
  int num_ahead = 0, num_random = 0;
  for (const std::vector<CacheGroup>& groups : group_sets()) {
    const std::vector<RequestOutput> expected = run_alone(jobs, groups);
    for (unsigned seed = 0; seed < 60; ++seed) {
      const int page_sizes[] = {1, 4, 16, 48}, budgets[] = {7, 64, 512};
      EngineSetup setup;
      setup.is_ahead = true;
      setup.page_size = page_sizes[seed % 4];
      setup.budget = budgets[seed % 3];
      setup.groups = groups;
      setup.has_prefix_cache = seed % 7 != 0;
      setup.num_pages = enough_pages(
          groups, 2 + (seed % 2 ? 260 : 1500) / setup.page_size);  // a few requests fit at a time, or many
      setup.policy = seed % 5 ? SchedulingPolicy::kFcfs : SchedulingPolicy::kPriority;
      ASSERT_NO_FATAL_FAILURE(check_ahead(setup, jobs, expected, seed, num_ahead, num_random))
          << "seed " << seed << ", " << groups.size() << " groups";
    }
  }
  EXPECT_GT(num_ahead, 3000);
  EXPECT_GT(num_random, 20000);
}

// Whatever a cancelled or ended request still computes, pages in the cache hold what their tokens say.
TEST(RunAhead, PagesAreCachedOneStepLate) {
  EngineSetup setup;
  setup.is_ahead = true;
  setup.page_size = 4;
  TestEngine test(setup);
  Job job{Tokens(8, 3), {}};
  job.params.temperature = 0.0;
  job.params.max_tokens = 20;
  test.submit(1, job);
  test.run_dry();
  Job longer = job;
  for (const std::int32_t token : test.results[1].token_ids) longer.prompt.push_back(token);
  test.submit(2, longer);
  test.run_dry();
  EXPECT_EQ(test.results[2].token_ids, FakeModel(kVocabSize).generate(longer.prompt, 20));
  EXPECT_GE(test.results[2].cached_len, 24);
}

TEST(RunAhead, NothingIsComputedBehindTheLastToken) {
  EngineSetup setup;
  setup.is_ahead = true;
  TestEngine test(setup);
  Job job{{1, 2, 3}, {}};
  job.params.temperature = 0.0;  // the context ends it
  test.submit(1, job);
  test.run_dry();
  EXPECT_EQ(test.results[1].token_ids, FakeModel(kVocabSize).generate(job.prompt, 397));
  EXPECT_GT(test.runner->num_ahead, 390);
}

// Who asks for logprobs is drawn for by the host.
TEST(RunAhead, RunnerAndHostDrawTheSame) {
  std::vector<Job> jobs = random_plain_jobs(4, 60);
  for (Job& job : jobs) job.params.logprobs.reset(), job.params.min_tokens = 0;
  std::vector<Job> on_host = jobs;
  for (Job& job : on_host) job.params.logprobs = 0;
  const std::vector<RequestOutput> expected = run_alone(on_host);
  EngineSetup setup;
  setup.is_ahead = true;
  setup.num_pages = 150;
  TestEngine test(setup, {5, 6});
  for (std::size_t i = 0; i < jobs.size(); ++i) test.submit(i + 1, jobs[i]);
  for (unsigned i = 0; test.engine.has_work(); ++i) {
    test.step();
    if (i % 9 == 0) test.engine.preempt(1 + i / 9 % jobs.size());
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_EQ(test.results[i + 1].token_ids, expected[i].token_ids) << "job " << i;
    EXPECT_EQ(test.results[i + 1].finish_reason, expected[i].finish_reason) << "job " << i;
  }
  EXPECT_GT(test.runner->num_random, 300);
  EXPECT_GT(test.runner->num_ahead, 30);
}

TEST(RunAhead, EndTokensAreMaskedUntilTheyMayCome) {
  Job job{{1, 2, 3}, {}};
  job.params.temperature = 0.0;
  job.params.min_tokens = 10;
  job.params.max_tokens = 30;
  const Tokens free = FakeModel(kVocabSize).generate(job.prompt, 4);
  for (const bool is_ahead : {false, true}) {
    EngineSetup setup;
    setup.is_ahead = is_ahead;
    TestEngine test(setup, {free[3]});
    test.submit(1, job);
    test.run_dry();
    const Tokens& tokens = test.results[1].token_ids;
    ASSERT_GE(tokens.size(), 10u);
    EXPECT_TRUE(std::equal(free.begin(), free.begin() + 3, tokens.begin()));
    EXPECT_EQ(std::count(tokens.begin(), tokens.begin() + 10, free[3]), 0);
  }
}

}  // namespace
}  // namespace quire
