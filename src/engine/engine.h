// The engine proper: schedule, run, sample, post-process. One thread, no device, and a clock only to learn
// how long steps take where their time has a target.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/batch.h"
#include "engine/runner.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/step_engine.h"
#include "engine/stop.h"
#include "engine/text_decoder.h"

namespace quire {

struct EngineConfig {
  SchedulerConfig scheduler;
  KvCacheConfig kv_cache;
  int vocab_size = 0;
  std::vector<std::int32_t> eos_tokens;  // of the model; end a request unless ignore_eos
  std::int64_t max_logprobs = 20;
  std::uint64_t seed = 0;  // requests without a seed draw from (this, their id)
  std::function<double()> now_s;  // seconds since some moment; empty: the steady clock
};

class EngineCore : public StepEngine {
 public:
  // `make_decoder` may be empty: then outputs carry tokens only, and stop strings are refused.
  EngineCore(const EngineConfig& config, std::unique_ptr<Runner> runner,
             TextDecoderFactory make_decoder = {});

  SamplingParams check(std::span<const std::int32_t> prompt, const SamplingParams& params) const override;
  void submit(RequestId id, std::vector<std::int32_t> prompt, SamplingParams params) override;
  RequestOutput cancel(RequestId id) override;
  bool has_work() const override { return !live_.empty(); }
  std::span<StepOutput> step() override;
  void idle() override;
  EngineStats stats() const override;
  const StepReport& last_step() const override { return report_; }
  void describe_pages(EngineSnapshot& snapshot) const override;

  // Sends a running request back to the queue, to be computed anew; its output must not change. Returns false
  // when the request does not run.
  bool preempt(RequestId id);

  const Scheduler& scheduler() const { return scheduler_; }

 private:
  struct LiveRequest {
    Request request;
    std::unique_ptr<TextDecoder> decoder;  // null without a tokenizer
    StopStrings stops;
    std::vector<TokenLogprobs> prompt_logprobs;
    // Without output (max_tokens 0) nothing follows from the prompt's last token, so it is not computed: only
    // how likely it was is wanted. `request` then has the tokens before it.
    bool is_scoring = false;
    std::optional<std::int32_t> last_prompt_token;
  };

  // One step from its plan to its results.
  struct Step {
    std::vector<ScheduledRequest> items;  // a request that ended or was preempted since is null
    StepReport report;
    StepWork work;
    double start_s = 0;
    bool is_started = false;
    bool is_complete = false;  // the scheduler counts its tokens as computed already
    bool has_requests() const {
      return std::any_of(items.begin(), items.end(), [](const ScheduledRequest& item) { return item.request; });
    }
  };

  void start_step(Step& step);
  bool can_run_ahead() const;
  void expect_tokens(Step& step);
  void finish_step(Step& step);
  bool take_results(Step& step);
  double now_s() const;
  void check_result(const Step& step, const StepResult& result) const;
  void report_step(const StepPlan& plan, StepReport& report);
  void add_prompt_logprobs(LiveRequest& live, const ScheduledRequest& item, std::span<const float> logits);
  void post_process(LiveRequest& live, const ScheduledRequest& item, std::int32_t drawn, std::span<const float> logits);
  SampledToken checked_token(std::int32_t token) const;
  void end_scoring(LiveRequest& live, std::span<const float> logits);
  void add_token(LiveRequest& live, SampledToken sampled);
  std::string text_of_last_token(LiveRequest& live, FinishReason& reason);
  void fail_step(Step& step, const char* why);
  void fail(LiveRequest& live, const char* why);
  void end(LiveRequest& live, RequestOutput& output, FinishReason reason, bool is_trusted = true);
  void drop_items(const Request& request);
  StepOutput& add_output(const LiveRequest& live);

  EngineConfig config_;
  SamplingLimits limits_;
  std::unique_ptr<Runner> runner_;
  TextDecoderFactory make_decoder_;
  Scheduler scheduler_;
  BatchBuilder batch_builder_;
  Sampler sampler_;
  std::unordered_map<RequestId, LiveRequest> live_;
  double end_s_ = 0;     // when the last step ended
  Step current_, next_;  // while `next_` is started, `current_` is too and comes first
  std::vector<StepOutput> outputs_;
  EngineStats counters_;
  StepReport report_;
};

}  // namespace quire
