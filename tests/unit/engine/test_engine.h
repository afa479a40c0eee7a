// An engine over the stand-in of a model, requests for it, and what each must get.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "engine/engine.h"
#include "fake_decoder.h"
#include "fake_runner.h"

namespace quire {

constexpr int kVocabSize = 53;
using Tokens = std::vector<std::int32_t>;

struct Job {
  Tokens prompt;
  SamplingParams params;
};

// Models whose layers keep all tokens, a window of them, both in pages of one size and of several, a state,
// and everything at once.
inline std::vector<std::vector<CacheGroup>> group_sets() {
  const CacheGroup all, longer{Retention::kAllTokens, 0, 3};
  return {{all},
          {window_group(24)},
          {all, window_group(24)},
          {window_group(10), window_group(10), longer},
          {all, state_group()},
          {state_group(), window_group(7, 2), all, window_group(30)}};
}

// Pages that a sequence takes which one group of pages of page_size tokens keeps in `num_pages`, the null
// page included.
inline int enough_pages(const std::vector<CacheGroup>& groups, int num_pages) {
  int num = 1;
  for (const CacheGroup& group : groups) num += group.grows() ? num_pages / group.page_scale + 1 : 8;
  return groups.size() == 1 && groups[0].page_scale == 1 ? num_pages : num;
}

struct EngineSetup {
  int page_size = 16;
  int num_pages = 400;
  int budget = 512;
  int max_num_seqs = 64;
  std::vector<CacheGroup> groups = {CacheGroup{}};
  bool has_prefix_cache = true;
  int long_prefill_token_threshold = 0;
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool is_ahead = false;
};

struct TestEngine {
  explicit TestEngine(const EngineSetup& setup, Tokens eos = {})
      : runner(new FakeRunner(FakeModel(kVocabSize, setup.groups), setup.num_pages, setup.page_size)),
        engine(config_of(setup, std::move(eos)), std::unique_ptr<Runner>(runner), make_fake_decoder) {
    runner->max_num_tokens = setup.budget;
    runner->is_ahead = setup.is_ahead;
    runner->max_model_len = 400;
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
    config.kv_cache = {setup.num_pages, setup.page_size, setup.has_prefix_cache, setup.groups};
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

inline Tokens random_prompt(std::mt19937& random, int max_len) {
  Tokens prompt;
  const bool has_system_prompt = random() % 2;
  for (int i = 0; has_system_prompt && i < 40; ++i) prompt.push_back(i % 7);
  for (unsigned i = 1 + random() % static_cast<unsigned>(max_len); i-- > 0;) {
    prompt.push_back(static_cast<int>(random() % kVocabSize));
  }
  return prompt;
}

// Requests whose tokens need no logits on the host, greedy and random ones, and now and then one whose tokens
// do.
inline std::vector<Job> random_plain_jobs(unsigned seed, int num_jobs) {
  std::mt19937 random(seed);
  std::vector<Job> jobs;
  for (int i = 0; i < num_jobs; ++i) {
    Job job;
    job.prompt = random_prompt(random, 60);
    job.params.max_tokens = 1 + random() % 60;
    job.params.temperature = random() % 2 ? 0.0 : 0.8;
    if (random() % 3 == 0) job.params.top_k = 1 + static_cast<int>(random() % 20);
    if (random() % 3 == 0) job.params.top_p = 0.9;
    if (random() % 4 == 0) job.params.min_p = 0.05;
    if (random() % 16 == 0) job.params.logprobs = 1;
    job.params.seed = i;
    if (random() % 4 == 0) job.params.stop = {"ab", "zy", "q"};
    if (random() % 4 == 0) job.params.min_tokens = *job.params.max_tokens / 2;
    if (random() % 5 == 0) job.params.cache_salt = "tenant";
    jobs.push_back(std::move(job));
  }
  return jobs;
}

inline std::vector<RequestOutput> run_alone(const std::vector<Job>& jobs,
                                            const std::vector<CacheGroup>& groups = {CacheGroup{}}) {
  std::vector<RequestOutput> results;
  for (const Job& job : jobs) {
    EngineSetup setup;
    setup.groups = groups;
    setup.num_pages = 1200;
    setup.has_prefix_cache = false;
    TestEngine test(setup, {5, 6});
    test.submit(1, job);
    test.run_dry();
    results.push_back(test.results[1]);
  }
  return results;
}

inline void expect_equal(const RequestOutput& result, const RequestOutput& expected) {
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

}  // namespace quire
