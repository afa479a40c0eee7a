#include "engine/step_time.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.h"
#include "test_engine.h"

namespace quire {
namespace {

// What a made-up device takes for a step.
struct Device {
  double constant_s = 0.002, decode_s = 0.0005, decode_key_s = 1e-7, token_s = 0.0001, key_s = 2e-8;

  double time_s(const StepWork& work) const {
    return constant_s + decode_s * static_cast<double>(work.num_decodes) +
           decode_key_s * static_cast<double>(work.decode_keys) +
           token_s * static_cast<double>(work.num_prompt_tokens) +
           key_s * static_cast<double>(work.prompt_keys);
  }
};

StepWork random_work(std::mt19937& random, bool has_prompt) {
  StepWork work;
  for (unsigned i = 1 + random() % 20; i-- > 0;) work.add_decode(random() % 3000);
  if (has_prompt) work.add_prompt(random() % 3000, 1 + random() % 200);
  return work;
}

StepTimeModel model_of(const Device& device, unsigned seed) {
  std::mt19937 random(seed);
  StepTimeModel model;
  for (int i = 0; i < 200; ++i) {
    const StepWork work = random_work(random, i % 2 == 1);
    model.observe(work, device.time_s(work));
  }
  return model;
}

void expect_known(const StepTimeModel& model, const Device& device, double error) {
  std::mt19937 random(99);
  for (int i = 0; i < 100; ++i) {
    const StepWork work = random_work(random, true);
    const double expected =
        model.decode_time_s(work) + model.prompt_time_s(work.num_prompt_tokens, work.prompt_keys);
    ASSERT_NEAR(expected / device.time_s(work), 1, error) << "step " << i;
  }
}

TEST(StepWork, CountsTheKeysThatTokensSee) {
  StepWork work;
  work.add_decode(10);
  work.add_prompt(100, 3);
  EXPECT_EQ(work.num_decodes, 1);
  EXPECT_EQ(work.decode_keys, 11);
  EXPECT_EQ(work.num_prompt_tokens, 3);
  EXPECT_EQ(work.prompt_keys, 101 + 102 + 103);
}

TEST(RecentFit, HasNoNegativeCoefficient) {
  RecentFit fit(0.9);
  EXPECT_TRUE(fit.is_empty());
  for (int i = 1; i <= 20; ++i)
    fit.observe({1.0, double(i), 0.0}, 10.0 - 0.1 * i, 0);  // falls with the second
  EXPECT_FALSE(fit.is_empty());
  EXPECT_EQ(fit.coefficients()[1], 0);
  EXPECT_NEAR(fit.predict({1.0, 20.0, 0.0}), 8.5, 0.5);
}

TEST(RecentFit, PassesOverTimesThatAreNone) {
  RecentFit fit(0.9);
  for (const double y : {0.0, -1.0, std::nan("")}) fit.observe({1.0, 1.0, 1.0}, y, 0);
  EXPECT_TRUE(fit.is_empty());
  EXPECT_EQ(fit.predict({1.0, 1.0, 1.0}), 0);
}

TEST(StepTimeModel, LearnsADevice) {
  expect_known(model_of({}, 1), {}, 0.01);
  const Device other{0, 0.003, 0, 0.002, 0};
  expect_known(model_of(other, 2), other, 0.01);
}

TEST(StepTimeModel, AnInterruptionChangesLittle) {
  const Device device;
  StepTimeModel model = model_of(device, 3);
  std::mt19937 random(4);
  for (const bool has_prompt : {false, true}) {
    const StepWork work = random_work(random, has_prompt);
    model.observe(work, 1000 * device.time_s(work));
  }
  expect_known(model, device, 0.4);
}

TEST(StepTimeModel, FollowsAChangeThatLasts) {
  for (const double factor : {0.1, 10.0}) {
    const Device before;
    const Device after{factor * before.constant_s, factor * before.decode_s, factor * before.decode_key_s,
                       factor * before.token_s, factor * before.key_s};
    StepTimeModel model = model_of(before, 5);
    std::mt19937 random(6);
    for (int i = 0; i < 600; ++i) {
      const StepWork work = random_work(random, i % 2 == 1);
      model.observe(work, after.time_s(work));
    }
    expect_known(model, after, 0.05);
  }
}

// Their own time is lost in the noise of the decodes beside them.
TEST(StepTimeModel, ShortPromptsBesideManyDecodesTeachNoNonsense) {
  const Device device;
  StepTimeModel model = model_of(device, 11);
  std::mt19937 random(12);
  std::uniform_real_distribution<double> noise(0.9, 1.1);
  for (int i = 0; i < 400; ++i) {
    StepWork work;
    for (int d = 0; d < 40; ++d) work.add_decode(random() % 3000);
    if (i % 2) work.add_prompt(random() % 3000, 4 + random() % 30);
    model.observe(work, noise(random) * device.time_s(work));
  }
  EXPECT_NEAR(model.prompt_time_s(100, 5050) / (100 * device.token_s + 5050 * device.key_s), 1, 0.5);
}

// A thousand steps without prompts do not make it forget them.
TEST(StepTimeModel, RemembersPromptsWhileThereAreNone) {
  const Device device;
  StepTimeModel model = model_of(device, 7);
  for (int i = 0; i < 1000; ++i) {
    StepWork work;
    work.add_decode(100);
    model.observe(work, device.time_s(work));
  }
  EXPECT_NEAR(model.prompt_time_s(100, 5050) / (100 * device.token_s + 5050 * device.key_s), 1, 0.05);
}

TEST(StepTimeModel, TokensWithinATimeAreTheMostThatFit) {
  const StepTimeModel model = model_of({}, 8);
  for (const std::int64_t computed_len : {0, 17, 5000}) {
    for (const double time_s : {0.001, 0.01, 0.02}) {
      const std::int64_t num = model.prompt_tokens_within(time_s, computed_len);
      StepWork fitting, too_many;
      fitting.add_prompt(computed_len, num);
      too_many.add_prompt(computed_len, num + 1);
      EXPECT_LE(model.prompt_time_s(num, fitting.prompt_keys), time_s * (1 + 1e-9));
      EXPECT_GT(model.prompt_time_s(num + 1, too_many.prompt_keys), time_s * (1 - 1e-9));
    }
  }
  EXPECT_EQ(model.prompt_tokens_within(0, 0), 0);
  EXPECT_EQ(model.prompt_tokens_within(-1, 0), 0);
}

TEST(StepTimeModel, GrowsStepByStepIntoTheUnknown) {
  StepTimeModel model;
  EXPECT_EQ(model.prompt_tokens_within(1, 0), 0);
  StepWork work;
  work.add_prompt(0, 16);
  model.observe(work, 1e-9);
  EXPECT_EQ(model.prompt_tokens_within(1, 0), 32);
}

TEST(PromptAllowance, WithoutABoundGivesWhatIsWanted) {
  PromptAllowance all;
  EXPECT_EQ(all.take(100000, 5), 100000);
  EXPECT_FALSE(all.is_spent());
  EXPECT_FALSE(all.has_cut());
}

TEST(PromptAllowance, IsSharedByTheStepsPrompts) {
  const StepTimeModel model = model_of({0.002, 0.0005, 0, 0.001, 0}, 9);
  PromptAllowance allowance(model, 0.0505);  // 50 tokens
  EXPECT_EQ(allowance.take(30, 0), 30);
  EXPECT_FALSE(allowance.has_cut());
  EXPECT_EQ(allowance.take(30, 0), 20);
  EXPECT_TRUE(allowance.has_cut());
  EXPECT_TRUE(allowance.is_spent());
  EXPECT_EQ(allowance.take(30, 0), 1) << "who runs gets on";
}

TEST(PromptAllowance, HasAFloorForTheWholeStep) {
  const StepTimeModel model = model_of({}, 10);
  PromptAllowance allowance(model, -1);
  EXPECT_FALSE(allowance.is_spent());
  EXPECT_EQ(allowance.take(10, 0), 10);
  EXPECT_EQ(allowance.take(100, 0), 6);
  EXPECT_TRUE(allowance.is_spent());
}

// The fake runner on a fake clock: a device that takes its time, one step after the other.
class TimedRunner : public FakeRunner {
 public:
  using FakeRunner::FakeRunner;

  Device device;
  double now_s = 100, free_s = 100;  // the host's time; when the device will be free
  std::vector<StepWork> works;       // of all steps
  std::vector<double> ends_s;

  void start(const StepBatch& batch) override {
    StepWork work;
    for (std::size_t s = 0; s < static_cast<std::size_t>(batch.num_seqs); ++s) {
      const std::int32_t query_len = batch.query_indptr[s + 1] - batch.query_indptr[s];
      const std::int32_t computed_len = batch.kv_len[s] - query_len;
      query_len == 1 ? work.add_decode(computed_len) : work.add_prompt(computed_len, query_len);
    }
    works.push_back(work);
    free_s = std::max(now_s, free_s) + device.time_s(work);
    under_way_s_.push_back(free_s);
    FakeRunner::start(batch);
  }
  StepResult finish() override {
    now_s = std::max(now_s, under_way_s_.front());
    under_way_s_.pop_front();
    ends_s.push_back(now_s);
    return FakeRunner::finish();
  }

 private:
  std::deque<double> under_way_s_;
};

struct TimedEngine {
  TimedEngine(const EngineSetup& setup, double target_s)
      : runner(new TimedRunner(FakeModel(kVocabSize, setup.groups), setup.num_pages, setup.page_size)) {
    runner->is_ahead = setup.is_ahead;
    runner->max_num_tokens = setup.budget;
    EngineConfig config = TestEngine::config_of(setup, {5, 6});
    config.scheduler.step_time_target_s = target_s;
    config.now_s = [this] { return runner->now_s; };
    engine = std::make_unique<EngineCore>(config, std::unique_ptr<Runner>(runner), make_fake_decoder);
  }
  void submit(RequestId id, int prompt_len, int max_tokens) {
    SamplingParams params;
    params.temperature = 0;
    params.max_tokens = max_tokens;
    params.ignore_eos = true;
    std::mt19937 random(static_cast<unsigned>(id));
    Tokens prompt;
    for (int i = 0; i < prompt_len; ++i) prompt.push_back(static_cast<int>(random() % kVocabSize));
    const SamplingParams checked = engine->check(prompt, params);
    engine->submit(id, std::move(prompt), checked);
  }
  // Answers of `num_answers` requests go on when a prompt of 350 tokens comes, and then as many steps follow
  // as it takes. Returns the number of the first of these steps.
  std::size_t meet_a_prompt(int num_answers) {
    for (int i = 1; i <= num_answers; ++i) submit(static_cast<RequestId>(i), 20, 300);
    for (int i = 0; i < 30; ++i) engine->step();
    const std::size_t first = runner->works.size();
    submit(100, 350, 1);
    for (int i = 0; i < 200 && num_prompt_tokens(first) < 350; ++i) engine->step();
    EXPECT_EQ(num_prompt_tokens(first), 350);
    return first;
  }
  std::int64_t num_prompt_tokens(std::size_t first) const {
    std::int64_t num = 0;
    for (std::size_t i = first; i < runner->works.size(); ++i) num += runner->works[i].num_prompt_tokens;
    return num;
  }

  TimedRunner* runner;
  std::unique_ptr<EngineCore> engine;
};

TEST(StepTimeTarget, AnswersAreNotHeldUpByAPrompt) {
  for (const bool is_ahead : {false, true}) {
    EngineSetup setup;
    setup.is_ahead = is_ahead;
    setup.has_prefix_cache = false;
    TimedEngine timed(setup, 0.012);
    const std::size_t first = timed.meet_a_prompt(4);
    const auto& works = timed.runner->works;
    std::size_t num_steps = 0;
    for (std::size_t i = first; i < works.size(); ++i) {
      num_steps += works[i].num_prompt_tokens > 0;
      EXPECT_LE(timed.runner->device.time_s(works[i]), 0.0125) << "step " << i;
    }
    EXPECT_LE(num_steps, 9u) << "the target leaves room for some 70 tokens a step, less at the beginning";
    EXPECT_GT(timed.engine->stats().num_limited_steps, 2);
    EXPECT_NEAR(timed.engine->stats().prompt_token_s, 0.0001, 0.00002);
    EXPECT_EQ(timed.runner->num_ahead > 20, is_ahead);
  }
}

TEST(StepTimeTarget, WithoutOneAPromptTakesTheBudget) {
  TimedEngine timed({}, 0);
  const std::size_t first = timed.meet_a_prompt(4);
  EXPECT_EQ(timed.runner->works[first].num_prompt_tokens, 350);
  EXPECT_EQ(timed.engine->stats().num_limited_steps, 0);
}

TEST(StepTimeTarget, BehindTheFirstTokensOnlyStepsOfAnswersAreLimited) {
  EngineSetup setup;
  setup.budget = 64;
  TimedEngine timed(setup, 0.001);
  timed.submit(1, 350, 1);  // alone
  while (timed.engine->has_work()) timed.engine->step();
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(timed.runner->works[i].num_prompt_tokens, 64) << "step " << i;
}

// However slow the device is: about a page a step. However fast: never more than the budget.
TEST(StepTimeTarget, HasAFloorAndACeiling) {
  TimedEngine slow({}, 0.001);
  slow.runner->device.token_s = 1;
  std::size_t first = slow.meet_a_prompt(4);
  for (std::size_t i = first; i < first + 10; ++i) EXPECT_EQ(slow.runner->works[i].num_prompt_tokens, 16);

  EngineSetup setup;
  setup.budget = 100;
  TimedEngine fast(setup, 1000);
  first = fast.meet_a_prompt(4);
  std::int64_t most = 0;
  for (const StepWork& work : fast.runner->works) most = std::max(most, work.num_prompt_tokens);
  EXPECT_EQ(most, 96) << "the budget less the answers";
}

// Requests of every kind on a device whose speed changes at random get what they get alone.
TEST(StepTimeTarget, ChangesNoAnswer) {
  const std::vector<Job> jobs = random_plain_jobs(5, 32);
  const std::vector<RequestOutput> expected = run_alone(jobs);
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    EngineSetup setup;
    setup.is_ahead = seed % 2;
    setup.page_size = seed % 3 ? 4 : 16;
    setup.num_pages = 2 + (seed % 5 ? 260 : 1500) / setup.page_size;
    setup.policy = seed % 4 ? SchedulingPolicy::kFcfs : SchedulingPolicy::kPriority;
    TestEngine shape(setup, {5, 6});
    TimedEngine timed(setup, 0.004);
    std::size_t num_submitted = 0;
    while (num_submitted < jobs.size() || timed.engine->has_work()) {
      timed.runner->device.token_s = 0.0001 * static_cast<double>(1 + random() % 50);
      while (num_submitted < jobs.size() && random() % 3) {
        const Job& job = jobs[num_submitted++];
        timed.engine->submit(num_submitted, job.prompt, timed.engine->check(job.prompt, job.params));
      }
      if (random() % 16 == 0) timed.engine->preempt(1 + random() % jobs.size());
      for (StepOutput& output : timed.engine->step()) shape.collect(output.id, output.output);
      timed.engine->scheduler().check_integrity();
    }
    for (std::size_t i = 0; i < jobs.size(); ++i)
      ASSERT_NO_FATAL_FAILURE(expect_equal(shape.results[i + 1], expected[i]))
          << "seed " << seed << " job " << i;
  }
}

TEST(StepTimeTarget, MustBeANumberThatIsNotNegative) {
  for (const double target_s : {-0.001, std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_THROW(TimedEngine({}, target_s), Error) << target_s;
}

}  // namespace
}  // namespace quire
