#include "engine/engine.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/error.h"
#include "fake_decoder.h"
#include "fake_runner.h"

namespace quire {
namespace {

constexpr int kVocabSize = 53;
using Tokens = std::vector<std::int32_t>;

struct Job {
  Tokens prompt;
  SamplingParams params;
};

struct EngineSetup {
  int page_size = 16;
  int num_pages = 400;
  int budget = 512;
  int max_num_seqs = 64;
  int window = 0;
  bool has_prefix_cache = true;
  int long_prefill_token_threshold = 0;
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool is_ahead = false;
};

struct TestEngine {
  explicit TestEngine(const EngineSetup& setup, Tokens eos = {})
      : runner(new FakeRunner(FakeModel(kVocabSize, setup.window), setup.num_pages, setup.page_size)),
        engine(config_of(setup, std::move(eos)), std::unique_ptr<Runner>(runner), make_fake_decoder) {
    runner->max_num_tokens = setup.budget;
    runner->is_ahead = setup.is_ahead;
  }

  static EngineConfig config_of(const EngineSetup& setup, Tokens eos) {
    EngineConfig config;
    config.vocab_size = kVocabSize;
    config.eos_tokens = std::move(eos);
    config.scheduler.max_num_seqs = setup.max_num_seqs;
    config.scheduler.max_num_batched_tokens = setup.budget;
    config.scheduler.max_model_len = 400;
    config.scheduler.long_prefill_token_threshold = setup.long_prefill_token_threshold;
    config.scheduler.policy = setup.policy;
    config.kv_cache = {setup.num_pages, setup.page_size, setup.has_prefix_cache, setup.window};
    return config;
  }

  void submit(RequestId id, const Job& job) {
    engine.submit(id, job.prompt, engine.check(job.prompt, job.params));
  }

  void step() {
    for (StepOutput& output : engine.step()) collect(output.id, output.output);
    engine.scheduler().check_integrity();
  }
  void run_dry() {
    for (int i = 0; engine.has_work(); ++i) {
      ASSERT_LT(i, 100000);
      step();
    }
    engine.scheduler().check_idle();
  }
  void collect(RequestId id, const RequestOutput& output) {
    RequestOutput& all = results[id];
    EXPECT_FALSE(all.is_last()) << "an output behind the last one";
    all.token_ids.insert(all.token_ids.end(), output.token_ids.begin(), output.token_ids.end());
    all.logprobs.insert(all.logprobs.end(), output.logprobs.begin(), output.logprobs.end());
    all.prompt_logprobs.insert(all.prompt_logprobs.end(), output.prompt_logprobs.begin(),
                               output.prompt_logprobs.end());
    all.text += output.text;
    all.finish_reason = output.finish_reason;
    all.stop_string = output.stop_string;
    all.stop_token = output.stop_token;
    all.error = output.error;
    all.cached_len = output.cached_len;
    EXPECT_EQ(output.output_len, static_cast<int>(all.token_ids.size()));
  }

  FakeRunner* runner;
  EngineCore engine;
  std::map<RequestId, RequestOutput> results;
};

Tokens random_prompt(std::mt19937& random, int max_len) {
  Tokens prompt;
  const bool has_system_prompt = random() % 2;
  for (int i = 0; has_system_prompt && i < 40; ++i) prompt.push_back(i % 7);
  for (unsigned i = 1 + random() % static_cast<unsigned>(max_len); i-- > 0;) {
    prompt.push_back(static_cast<int>(random() % kVocabSize));
  }
  return prompt;
}

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

std::vector<RequestOutput> run_alone(const std::vector<Job>& jobs, int window) {
  std::vector<RequestOutput> results;
  for (const Job& job : jobs) {
    EngineSetup setup;
    setup.window = window;
    setup.has_prefix_cache = false;
    TestEngine test(setup, {5, 6});
    test.submit(1, job);
    test.run_dry();
    results.push_back(test.results[1]);
  }
  return results;
}

void expect_equal(const RequestOutput& result, const RequestOutput& expected) {
  ASSERT_EQ(result.token_ids, expected.token_ids);
  ASSERT_EQ(result.text, expected.text);
  ASSERT_EQ(result.finish_reason, expected.finish_reason);
  ASSERT_EQ(result.stop_string, expected.stop_string);
  ASSERT_EQ(result.stop_token, expected.stop_token);
  ASSERT_EQ(result.prompt_logprobs.size(), expected.prompt_logprobs.size());
  for (std::size_t i = 0; i < result.prompt_logprobs.size(); ++i) {
    ASSERT_EQ(result.prompt_logprobs[i].chosen.token, expected.prompt_logprobs[i].chosen.token);
    ASSERT_EQ(result.prompt_logprobs[i].chosen.logprob, expected.prompt_logprobs[i].chosen.logprob);
    ASSERT_EQ(result.prompt_logprobs[i].rank, expected.prompt_logprobs[i].rank);
  }
  ASSERT_EQ(result.logprobs.size(), expected.logprobs.size());
  for (std::size_t i = 0; i < result.logprobs.size(); ++i) {
    ASSERT_EQ(result.logprobs[i].chosen.logprob, expected.logprobs[i].chosen.logprob);
  }
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
  for (const int window : {0, 24}) {
    const std::vector<RequestOutput> expected = run_alone(jobs, window);
    unsigned seed = 100;
    for (const int budget : {1, 7, 64, 512, 4096}) {
      for (const int page_size : {1, 16, 48, 128}) {
        for (const bool has_prefix_cache : {false, true}) {
          EngineSetup setup;
          setup.page_size = page_size;
          setup.budget = budget;
          setup.window = window;
          setup.has_prefix_cache = has_prefix_cache;
          setup.num_pages = 2 + 260 / page_size;  // a few requests fit at a time
          setup.policy = (seed / 2) % 2 ? SchedulingPolicy::kFcfs : SchedulingPolicy::kPriority;
          setup.long_prefill_token_threshold = seed % 3 ? 0 : 20;
          setup.is_ahead = seed % 5 < 2;
          ASSERT_NO_FATAL_FAILURE(check_setup(setup, jobs, expected, seed++, num_preemptions))
              << "budget " << budget << ", page size " << page_size << ", prefix cache " << has_prefix_cache
              << ", window " << window;
        }
      }
    }
  }
  EXPECT_GT(num_preemptions, 300);
}

// Requests whose tokens need no logits on the host, and now and then one whose tokens do.
std::vector<Job> random_plain_jobs(unsigned seed, int num_jobs) {
  std::mt19937 random(seed);
  std::vector<Job> jobs;
  for (int i = 0; i < num_jobs; ++i) {
    Job job;
    job.prompt = random_prompt(random, 60);
    job.params.max_tokens = 1 + random() % 60;
    job.params.temperature = random() % 12 ? 0.0 : 0.8;
    job.params.seed = i;
    if (random() % 4 == 0) job.params.stop = {"ab", "zy", "q"};
    if (random() % 4 == 0) job.params.min_tokens = *job.params.max_tokens / 2;
    if (random() % 5 == 0) job.params.cache_salt = "tenant";
    jobs.push_back(std::move(job));
  }
  return jobs;
}

// With random arrivals, preemptions and cancellations; who is not cancelled gets what it would get alone.
void check_ahead(const EngineSetup& setup, const std::vector<Job>& jobs, const std::vector<RequestOutput>& expected, unsigned seed,
                 int& num_ahead) {
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
      ASSERT_TRUE(std::equal(result.token_ids.begin(), result.token_ids.end(), expected[i].token_ids.begin())) << "job " << i;
    }
  }
  num_ahead += test.runner->num_ahead;
}

TEST(Engine, RunningAheadChangesNothing) {
  const std::vector<Job> jobs = random_plain_jobs(3, 48);
  int num_ahead = 0;
  for (const int window : {0, 24}) {
    const std::vector<RequestOutput> expected = run_alone(jobs, window);
    for (unsigned seed = 0; seed < 60; ++seed) {
      const int page_sizes[] = {1, 4, 16, 48}, budgets[] = {7, 64, 512};
      EngineSetup setup;
      setup.is_ahead = true;
      setup.page_size = page_sizes[seed % 4];
      setup.budget = budgets[seed % 3];
      setup.window = window;
      setup.has_prefix_cache = seed % 7 != 0;
      setup.num_pages = 2 + (seed % 2 ? 260 : 1500) / setup.page_size;  // a few requests fit at a time, or many
      setup.policy = seed % 5 ? SchedulingPolicy::kFcfs : SchedulingPolicy::kPriority;
      ASSERT_NO_FATAL_FAILURE(check_ahead(setup, jobs, expected, seed, num_ahead))
          << "seed " << seed << ", window " << window;
    }
  }
  EXPECT_GT(num_ahead, 3000);
}

// Whatever a cancelled or ended request still computes, pages in the cache hold what their tokens say.
TEST(Engine, PagesAreCachedOneStepLateWhenRunningAhead) {
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

TEST(Engine, GreedyMatchesTheModelItself) {
  for (const int window : {0, 10}) {
    EngineSetup setup;
    setup.window = window;
    setup.is_ahead = window == 0;
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
      EXPECT_EQ(test.results[id].token_ids, FakeModel(kVocabSize, window).generate(prompt, 25));
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
    std::vector<Job> jobs = round % 4 < 2 ? random_jobs(static_cast<unsigned>(round), 12) : random_plain_jobs(static_cast<unsigned>(round), 12);
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
  for (const RequestId id : {1, 2}) {  // the second finds the first one's pages in the cache, and computes all the same
    test.submit(id, job);
    test.run_dry();
    const auto& logprobs = test.results[id].prompt_logprobs;
    ASSERT_EQ(logprobs.size(), job.prompt.size() - 1);
    for (std::size_t i = 0; i < logprobs.size(); ++i) {
      const auto row = FakeModel(kVocabSize).logits(std::span(job.prompt).first(i + 1));
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

}  // namespace
}  // namespace quire
