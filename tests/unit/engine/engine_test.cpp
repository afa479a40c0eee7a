#include "engine/engine.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/error.h"
#include "test_engine.h"

namespace quire {
namespace {

std::vector<Job> random_jobs(unsigned seed, int num_jobs) {
  std::mt19937 random(seed);
  std::vector<Job> jobs;
  for (int i = 0; i < num_jobs; ++i) {
    Job job;
    job.prompt = random_prompt(random, 60);
    job.params.max_tokens = 1 + random() % 40;
    job.params.temperature = random() % 2 ? 0.0 : 0.8;
    job.params.seed = i;
    if (random() % 3 == 0) job.params.top_p = 0.9;
    if (random() % 3 == 0) job.params.top_k = 10;
    if (random() % 4 == 0) job.params.frequency_penalty = 0.5;
    if (random() % 4 == 0) job.params.stop = {"ab", "zy", "q"};
    if (random() % 4 == 0) job.params.min_tokens = *job.params.max_tokens / 2;
    if (random() % 5 == 0) job.params.cache_salt = "tenant";
    if (random() % 5 == 0) job.params.logprobs = 3;
    if (random() % 5 == 0) job.params.prompt_logprobs = 2;
    jobs.push_back(std::move(job));
  }
  return jobs;
}

// All jobs at once, arriving over time, with preemption at random steps.
void check_setup(const EngineSetup& setup, const std::vector<Job>& jobs,
                 const std::vector<RequestOutput>& expected, unsigned seed, std::int64_t& num_preemptions) {
  std::mt19937 random(seed);
  TestEngine test(setup, {5, 6});
  std::size_t num_submitted = 0;
  while (num_submitted < jobs.size() || test.engine.has_work()) {
    while (num_submitted < jobs.size() && random() % 3) {
      Job job = jobs[num_submitted++];
      if (setup.policy == SchedulingPolicy::kPriority) job.params.priority = random() % 3;
      test.submit(num_submitted, job);
    }
    if (random() % 8 == 0) test.engine.preempt(1 + random() % jobs.size());
    test.step();
  }
  test.engine.scheduler().check_idle();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    ASSERT_NO_FATAL_FAILURE(expect_equal(test.results[i + 1], expected[i])) << "job " << i;
  }
  num_preemptions += test.engine.stats().num_preemptions;
}

TEST(Engine, OutputsDoNotDependOnBatchChunksPagesCacheOrPreemption) {
  const std::vector<Job> jobs = random_jobs(1, 64);
  std::int64_t num_preemptions = 0;
  for (const std::vector<CacheGroup>& groups : group_sets()) {
    const std::vector<RequestOutput> expected = run_alone(jobs, groups);
    unsigned seed = 100;
    for (const int budget : {1, 7, 64, 512, 4096}) {
      for (const int page_size : {1, 16, 48, 128}) {
        for (const bool has_prefix_cache : {false, true}) {
          EngineSetup setup;
          setup.page_size = page_size;
          setup.budget = budget;
          setup.groups = groups;
          setup.has_prefix_cache = has_prefix_cache;
          setup.num_pages = enough_pages(groups, 2 + 260 / page_size);  // a few requests fit at a time
          setup.policy = (seed / 2) % 2 ? SchedulingPolicy::kFcfs : SchedulingPolicy::kPriority;
          setup.long_prefill_token_threshold = seed % 3 ? 0 : 20;
          setup.is_ahead = seed % 5 < 2;
          ASSERT_NO_FATAL_FAILURE(check_setup(setup, jobs, expected, seed++, num_preemptions))
              << "budget " << budget << ", page size " << page_size << ", prefix cache " << has_prefix_cache
              << ", " << groups.size() << " groups";
        }
      }
    }
  }
  EXPECT_GT(num_preemptions, 300);
}

TEST(Engine, GreedyMatchesTheModelItself) {
  for (const std::vector<CacheGroup>& groups : group_sets()) {
    EngineSetup setup;
    setup.groups = groups;
    setup.is_ahead = groups.size() % 2 == 1;
    TestEngine test(setup);
    std::mt19937 random(2);
    std::map<RequestId, Tokens> prompts;
    for (RequestId id = 1; id <= 20; ++id) {
      Job job{random_prompt(random, 50), {}};
      job.params.temperature = 0.0;
      job.params.max_tokens = 25;
      prompts[id] = job.prompt;
      test.submit(id, job);
    }
    test.run_dry();
    for (auto& [id, prompt] : prompts) {
      EXPECT_EQ(test.results[id].token_ids, FakeModel(kVocabSize, groups).generate(prompt, 25));
      EXPECT_EQ(test.results[id].finish_reason, FinishReason::kLength);
    }
  }
}

TEST(Engine, HitsThePrefixCache) {
  TestEngine test({});
  Job job{Tokens(100, 3), {}};
  job.params.max_tokens = 2;
  test.submit(1, job);
  test.run_dry();
  test.submit(2, job);
  test.run_dry();
  EXPECT_EQ(test.results[1].cached_len, 0);
  EXPECT_EQ(test.results[2].cached_len, 96);
  EXPECT_EQ(test.engine.stats().prefix_hit_tokens, 96);
  EXPECT_EQ(test.engine.stats().num_prompt_tokens, 200);
  EXPECT_EQ(test.engine.stats().num_generation_tokens, 4);
}

class EngineFailure : public testing::TestWithParam<bool> {};  // whether steps are started ahead
INSTANTIATE_TEST_SUITE_P(Ahead, EngineFailure, testing::Bool());

TEST_P(EngineFailure, ARequestWithNanEndsAloneAndItsPagesAreNotShared) {
  EngineSetup setup;
  setup.is_ahead = GetParam();
  TestEngine test(setup);
  test.runner->nan_token = 52;
  Job bad{Tokens(40, 9), {}}, good{Tokens(40, 8), {}};
  bad.params.temperature = GetParam() ? 0.0 : 1.0;
  bad.prompt.back() = 52;
  good.params.max_tokens = 10;
  good.params.logit_bias = {{52, -100.0}};
  test.submit(1, bad);
  test.submit(2, good);
  test.run_dry();
  EXPECT_EQ(test.results[1].finish_reason, FinishReason::kError);
  EXPECT_NE(test.results[1].error.find("NaN"), std::string::npos);
  EXPECT_EQ(test.results[2].finish_reason, FinishReason::kLength);
  EXPECT_EQ(test.results[2].token_ids.size(), 10u);
  EXPECT_EQ(test.engine.stats().num_corrupted, 1);
  bad.prompt.back() = 1;
  bad.params.max_tokens = 1;
  bad.params.logit_bias = {{52, -100.0}};
  test.submit(3, bad);
  test.run_dry();
  EXPECT_EQ(test.results[3].cached_len, 0);
}

TEST_P(EngineFailure, AFailedStepEndsItsRequestsAndNoOthers) {
  EngineSetup setup;
  setup.is_ahead = GetParam();
  TestEngine test(setup);
  test.runner->throw_token = 52;
  Job bad{{1, 2, 52}, {}}, good{{1, 2, 3}, {}};
  good.params.max_tokens = 3;
  good.params.logit_bias = {{52, -100.0}};
  test.submit(1, bad);
  test.step();
  EXPECT_EQ(test.results[1].error, "the device fell over");
  test.submit(2, good);
  test.run_dry();
  EXPECT_EQ(test.results[2].token_ids.size(), 3u);
  EXPECT_EQ(test.engine.stats().num_failed, 1);
  EXPECT_EQ(test.engine.stats().num_corrupted, 0);
}

TEST(Engine, StopsByTokenStringAndLength) {
  const Tokens prompt = {1, 2, 3};
  const Tokens output = FakeModel(kVocabSize).generate(prompt, 30);
  std::string text;
  for (const std::int32_t token : output) text += FakeDecoder::letter(token);
  const auto run = [&](const SamplingParams& params, Tokens eos = {}) {
    TestEngine test({}, std::move(eos));
    test.submit(1, {prompt, params});
    test.run_dry();
    return test.results[1];
  };
  SamplingParams params;
  params.temperature = 0.0;
  params.max_tokens = 30;
  RequestOutput result = run(params);
  EXPECT_EQ(result.text, text);
  EXPECT_EQ(result.finish_reason, FinishReason::kLength);

  const std::size_t first = static_cast<std::size_t>(std::find(output.begin(), output.end(), output[6]) -
                                                     output.begin());  // where this token stands first
  params.stop_token_ids = {output[6]};
  result = run(params);
  EXPECT_EQ(result.finish_reason, FinishReason::kStop);
  EXPECT_EQ(result.stop_token, output[6]);
  EXPECT_EQ(result.token_ids.size(), first + 1);
  EXPECT_EQ(result.text, text.substr(0, first));
  params.include_stop_str_in_output = true;
  EXPECT_EQ(run(params).text, text.substr(0, first + 1));
  params.stop_token_ids.clear();
  params.include_stop_str_in_output = false;

  EXPECT_EQ(run(params, {output[6]}).token_ids.size(), first + 1);
  params.ignore_eos = true;
  EXPECT_EQ(run(params, {output[6]}).token_ids.size(), 30u);

  params.stop = {text.substr(8, 4)};
  const std::size_t match = text.find(params.stop[0]);
  result = run(params);
  EXPECT_EQ(result.finish_reason, FinishReason::kStop);
  EXPECT_EQ(result.stop_string, params.stop[0]);
  EXPECT_FALSE(result.stop_token);
  EXPECT_EQ(result.text, text.substr(0, match));
  params.min_tokens = 20;
  EXPECT_GE(run(params).token_ids.size(), 20u);

  params = {};
  params.temperature = 0.0;  // no max_tokens: the context ends it
  EXPECT_EQ(run(params).token_ids.size(), 397u);
}

TEST(Engine, ChecksBeforeItTakes) {
  TestEngine test({});
  EXPECT_THROW(test.submit(1, {{}, {}}), Error);
  EXPECT_THROW(test.submit(1, {{kVocabSize}, {}}), Error);
  EXPECT_THROW(test.submit(1, {{-1}, {}}), Error);
  EXPECT_THROW(test.submit(1, {Tokens(400, 1), {}}), Error);
  SamplingParams params;
  params.top_p = 7.0;
  EXPECT_THROW(test.submit(1, {{1}, params}), Error);
  EXPECT_FALSE(test.engine.has_work());
  test.submit(1, {{1}, {}});
  EXPECT_THROW(test.submit(1, {{1}, {}}), Error);
}

TEST(Engine, CancelInEveryState) {
  std::mt19937 random(4);
  EngineSetup setup;
  setup.num_pages = 30;
  setup.page_size = 8;
  setup.budget = 24;
  for (int round = 0; round < 80; ++round) {
    setup.is_ahead = round % 2 == 1;
    TestEngine test(setup);
    std::vector<Job> jobs = round % 4 < 2 ? random_jobs(static_cast<unsigned>(round), 12)
                                          : random_plain_jobs(static_cast<unsigned>(round), 12);
    for (std::size_t i = 0; i < jobs.size(); ++i) test.submit(i + 1, jobs[i]);
    while (test.engine.has_work()) {
      const RequestId id = 1 + random() % jobs.size();
      const RequestOutput output = test.engine.cancel(id);
      if (output.is_last()) {
        EXPECT_EQ(output.finish_reason, FinishReason::kAbort);
        test.collect(id, output);
      }
      test.engine.scheduler().check_integrity();
      if (test.engine.has_work()) test.step();
    }
    test.engine.scheduler().check_idle();
    EXPECT_EQ(test.results.size(), jobs.size());
    for (auto& [id, result] : test.results) EXPECT_TRUE(result.is_last());
  }
}

TEST(Engine, UnseededRequestsDiffer) {
  TestEngine test({});
  Job job{{1, 2, 3}, {}};
  job.params.max_tokens = 20;
  test.submit(1, job);
  test.submit(2, job);
  test.run_dry();
  EXPECT_NE(test.results[1].token_ids, test.results[2].token_ids);
}

TEST(Engine, IdleFindsNothingToRepair) {
  TestEngine test({});
  test.submit(1, {{1, 2, 3}, {}});
  test.run_dry();
  test.engine.idle();
  EXPECT_EQ(test.engine.stats().num_repairs, 0);
  EXPECT_EQ(test.engine.stats().num_held_pages, 0);
}

// Each prompt token but the first, against the model's own logits of everything before it.
TEST(Engine, PromptLogprobsAreTheModels) {
  EngineSetup setup;
  setup.budget = 7;  // several chunks
  TestEngine test(setup);
  Job job;
  for (int i = 0; i < 40; ++i) job.prompt.push_back(i * i % kVocabSize);
  job.params.max_tokens = 2;
  job.params.prompt_logprobs = 3;
  for (const RequestId id :
       {1, 2}) {  // the second finds the first one's pages in the cache, and computes all the same
    test.submit(id, job);
    test.run_dry();
    const auto& logprobs = test.results[id].prompt_logprobs;
    ASSERT_EQ(logprobs.size(), job.prompt.size() - 1);
    for (std::size_t i = 0; i < logprobs.size(); ++i) {
      const auto row = FakeModel(kVocabSize).logits_behind(std::span(job.prompt).first(i + 1));
      double sum = 0;
      for (const float logit : row) sum += std::exp(static_cast<double>(logit));
      const auto next = static_cast<std::size_t>(job.prompt[i + 1]);
      EXPECT_EQ(logprobs[i].chosen.token, job.prompt[i + 1]);
      EXPECT_NEAR(logprobs[i].chosen.logprob, row[next] - std::log(sum), 1e-4);
      EXPECT_EQ(logprobs[i].top.size(), 3u);
    }
  }
}

TEST(Engine, ReportsWhatAStepDidAndWhoHoldsThePages) {
  EngineSetup setup;
  setup.page_size = 4;
  setup.num_pages = 20;
  setup.budget = 10;
  TestEngine test(setup);
  Job job;
  job.prompt = Tokens(12, 3);
  job.params.max_tokens = 4;
  test.submit(7, job);
  test.step();
  EXPECT_EQ(test.engine.last_step().num_prefill_tokens, 10);
  EXPECT_EQ(test.engine.last_step().started, std::vector<RequestId>{7});
  test.submit(8, job);
  test.step();
  EXPECT_EQ(test.engine.last_step().num_extend_tokens, 2 + 4) << "a hit of 8 tokens leaves 4";
  EXPECT_EQ(test.engine.last_step().started, std::vector<RequestId>{8});
  test.step();
  EXPECT_EQ(test.engine.last_step().num_decode_tokens, 2);
  EngineSnapshot snapshot;
  test.engine.describe_pages(snapshot);
  EXPECT_EQ(snapshot.page_size, 4);
  const auto count = [&](std::int64_t owner) {
    return std::count(snapshot.page_owners.begin(), snapshot.page_owners.end(), owner);
  };
  EXPECT_EQ(snapshot.page_owners.size(), 19u);
  EXPECT_EQ(count(-2), 2) << "two full pages are shared";
  EXPECT_EQ(count(7), 2);
  EXPECT_EQ(count(8), 2);
  EXPECT_EQ(count(kFreePage), 13);
  test.run_dry();
  test.engine.describe_pages(snapshot);
  EXPECT_GT(count(kCachedPage), 0);
  EXPECT_EQ(count(kCachedPage) + count(kFreePage), 19);
  const EngineStats stats = test.engine.stats();
  EXPECT_EQ(stats.num_prefill_tokens + stats.num_extend_tokens + stats.num_decode_tokens, 10 + 6 + 6);
}

// Without output a prompt may fill the context, and its logprobs are those that a longer request reports.
TEST(EngineTest, PromptsAreScoredWithoutATokenOfOutput) {
  for (const bool is_ahead : {false, true}) {
    for (const int prompt_len : {1, 2, 40, 300, 399, 400}) {
      EngineSetup setup;
      setup.is_ahead = is_ahead;
      setup.budget = 128;  // several steps for a long prompt
      TestEngine test(setup, {5, 6});
      Job job;
      for (int i = 0; i < prompt_len; ++i) job.prompt.push_back(i * 7 % kVocabSize);
      job.params.max_tokens = 0;
      job.params.prompt_logprobs = 2;
      test.submit(1, job);
      test.run_dry();
      const RequestOutput& scored = test.results[1];
      EXPECT_EQ(scored.finish_reason, FinishReason::kLength) << prompt_len;
      EXPECT_TRUE(scored.token_ids.empty() && scored.text.empty()) << prompt_len;
      ASSERT_EQ(scored.prompt_logprobs.size(), static_cast<std::size_t>(prompt_len) - 1);
      EXPECT_EQ(test.engine.stats().num_generation_tokens, 0);
      if (prompt_len == 400) continue;
      job.params.max_tokens = 1;
      test.submit(2, job);
      test.run_dry();
      const auto& expected = test.results[2].prompt_logprobs;
      ASSERT_EQ(expected.size(), scored.prompt_logprobs.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(scored.prompt_logprobs[i].chosen.token, expected[i].chosen.token);
        EXPECT_EQ(scored.prompt_logprobs[i].chosen.logprob, expected[i].chosen.logprob) << i;
        EXPECT_EQ(scored.prompt_logprobs[i].rank, expected[i].rank);
      }
    }
  }
}

TEST(EngineTest, ScoringWithoutLogprobsEndsToo) {
  TestEngine test({}, {5, 6});
  Job job;
  job.prompt = {1, 2, 3};
  job.params.max_tokens = 0;
  test.submit(1, job);
  test.run_dry();
  EXPECT_EQ(test.results[1].finish_reason, FinishReason::kLength);
  EXPECT_TRUE(test.results[1].token_ids.empty());
  job.prompt.assign(401, 1);
  EXPECT_THROW(test.submit(2, job), Error);
}

}  // namespace
}  // namespace quire
