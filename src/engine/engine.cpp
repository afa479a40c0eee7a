#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/philox.h"
#include "engine/softmax.h"

namespace quire {

EngineCore::EngineCore(const EngineConfig& config, std::unique_ptr<Runner> runner,
                       TextDecoderFactory make_decoder)
    : config_(config),
      runner_(std::move(runner)),
      make_decoder_(std::move(make_decoder)),
      scheduler_(config.scheduler, config.kv_cache),
      batch_builder_(config.kv_cache),
      sampler_(config.vocab_size) {
  limits_.vocab_size = config.vocab_size;
  limits_.max_logprobs = config.max_logprobs;
  limits_.has_priorities = config.scheduler.policy == SchedulingPolicy::kPriority;
  limits_.has_text = static_cast<bool>(make_decoder_);
}

namespace {

// The last token of a prompt that only wants scores; see LiveRequest.
bool holds_back_last(std::size_t prompt_len, const SamplingParams& params) {
  return params.max_tokens == 0 && prompt_len > 1;
}

}  // namespace

SamplingParams EngineCore::check(std::span<const std::int32_t> prompt, const SamplingParams& params) const {
  scheduler_.check_prompt_len(prompt.size() - (holds_back_last(prompt.size(), params) ? 1 : 0));
  for (const std::int32_t token : prompt) {
    QUIRE_CHECK(token >= 0 && token < config_.vocab_size, "prompt holds token {}, must lie in [0, {}]", token,
                config_.vocab_size - 1);
  }
  return checked_sampling_params(params, limits_);
}

void EngineCore::submit(RequestId id, std::vector<std::int32_t> prompt, SamplingParams params) {
  QUIRE_CHECK(!live_.contains(id), "request id {} is in use", id);
  LiveRequest live{{},
                   make_decoder_ ? make_decoder_(prompt, params.skip_special_tokens) : nullptr,
                   StopStrings(params.stop, params.include_stop_str_in_output),
                   {},
                   params.max_tokens == 0,
                   std::nullopt};
  if (holds_back_last(prompt.size(), params)) {
    live.last_prompt_token = prompt.back();
    prompt.pop_back();
  }
  if (live.is_scoring) params.max_tokens = 1;  // for the scheduler: it ends with the step that would draw one
  Request& request = live.request;
  request.id = id;
  request.prompt_len = static_cast<std::int32_t>(prompt.size());
  request.tokens = std::move(prompt);
  request.seed = params.seed ? static_cast<std::uint64_t>(*params.seed) : random_bits(config_.seed, id);
  request.end_tokens = params.stop_token_ids;
  if (!params.ignore_eos) {
    request.end_tokens.insert(request.end_tokens.end(), config_.eos_tokens.begin(), config_.eos_tokens.end());
  }
  std::sort(request.end_tokens.begin(), request.end_tokens.end());
  request.params = std::move(params);
  request.draw_scale = draw_scale(request.params);
  if (runner_->draws_tokens()) request.runner_draws_from = runner_draws_from(request);
  scheduler_.check_prompt_len(request.tokens.size());
  scheduler_.add(live_.emplace(id, std::move(live)).first->second.request);
}

std::span<StepOutput> EngineCore::step() {
  outputs_.clear();
  report_ = {};
  ++counters_.num_steps;
  if (current_.is_started && !current_.has_requests()) finish_step(current_);  // all of them were cancelled
  if (!current_.is_started) start_step(current_);
  if (can_run_ahead()) {
    expect_tokens(current_);
    start_step(next_);
  }
  if (current_.is_started) finish_step(current_);
  std::swap(current_, next_);
  if (current_.is_started && live_.empty()) finish_step(current_);
  return outputs_;
}

// 0 where nobody wants to know.
double EngineCore::now_s() const {
  if (config_.scheduler.step_time_target_s <= 0) return 0;
  if (config_.now_s) return config_.now_s();
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void EngineCore::start_step(Step& step) {
  step.start_s = now_s();
  const StepPlan& plan = scheduler_.schedule();
  step.items = plan.items;
  step.work = plan.work;
  if (plan.items.empty()) return;
  report_step(plan, step.report);
  try {
    runner_->start(batch_builder_.build(plan));
    step.is_started = true;
  } catch (const std::exception& error) {
    report_ = step.report;
    fail_step(step, error.what());
  }
}

// The step under way wants no logits, and who runs on has room to.
bool EngineCore::can_run_ahead() const {
  if (!runner_->runs_ahead() || !current_.is_started) return false;
  return std::all_of(
             current_.items.begin(), current_.items.end(),
             [](const ScheduledRequest& item) { return item.num_logit_rows == 0 || item.runner_draws; }) &&
         scheduler_.has_page_for_each();
}

// From here on everything is as after the step, but for the values of the tokens that it draws.
void EngineCore::expect_tokens(Step& step) {
  scheduler_.complete(step.items);
  step.is_complete = true;
  std::int32_t row = 0;
  for (const ScheduledRequest& item : step.items) {
    row += item.num_logit_rows;
    if (item.request && item.samples) item.request->append_pending(row - 1);
  }
}

// A step that was started ahead of another one's end counts from that end on. The host's part counts as well:
// who is answered waits for it.
void EngineCore::finish_step(Step& step) {
  const bool has_requests = step.has_requests();  // else nobody has waited for its end
  const bool is_good = take_results(step);
  const double start_s = std::max(step.start_s, end_s_);
  end_s_ = now_s();
  if (is_good && has_requests) scheduler_.observe(step.work, end_s_ - start_s);
}

// False when it failed.
bool EngineCore::take_results(Step& step) {
  step.is_started = false;
  if (step.has_requests()) report_ = step.report;
  StepResult result;
  try {
    result = runner_->finish();
    check_result(step, result);
  } catch (const std::exception& error) {
    fail_step(step, error.what());
    return false;
  }
  if (!std::exchange(step.is_complete, false)) scheduler_.complete(step.items);
  const auto vocab_size = static_cast<std::size_t>(config_.vocab_size);
  std::size_t row = 0, host_row = 0;
  for (std::size_t i = 0; i < step.items.size(); ++i) {
    const ScheduledRequest item = step.items[i];
    const auto num_rows = static_cast<std::size_t>(item.num_logit_rows),
               num_host_rows = item.runner_draws ? 0 : num_rows;
    if (item.request && num_rows > 0) {
      item.request->drop_pending();
      post_process(live_.at(item.request->id), item, result.tokens[row + num_rows - 1],
                   result.logits.subspan(vocab_size * host_row, vocab_size * num_host_rows));
    }
    row += num_rows;
    host_row += num_host_rows;
  }
  step.items.clear();
  return true;
}

void EngineCore::check_result(const Step& step, const StepResult& result) const {
  std::size_t num_rows = 0, num_host_rows = 0;
  for (const ScheduledRequest& item : step.items) {
    num_rows += static_cast<std::size_t>(item.num_logit_rows);
    num_host_rows += static_cast<std::size_t>(item.runner_draws ? 0 : item.num_logit_rows);
  }
  QUIRE_CHECK_KIND(kInternal,
                   result.tokens.size() == num_rows &&
                       result.logits.size() == num_host_rows * static_cast<std::size_t>(config_.vocab_size),
                   "the runner returned {} tokens for {} rows and {} logits for {} rows of {}",
                   result.tokens.size(), num_rows, result.logits.size(), num_host_rows, config_.vocab_size);
}

void EngineCore::report_step(const StepPlan& plan, StepReport& report) {
  report = {};
  for (const ScheduledRequest& item : plan.items) {
    auto& kind = item.computed_len == 0 ? report.num_prefill_tokens
                 : item.query_len == 1  ? report.num_decode_tokens
                                        : report.num_extend_tokens;
    kind += item.query_len;
    if (item.request->has_started) continue;
    item.request->has_started = true;
    report.started.push_back(item.request->id);
  }
  counters_.num_prefill_tokens += report.num_prefill_tokens;
  counters_.num_decode_tokens += report.num_decode_tokens;
  counters_.num_extend_tokens += report.num_extend_tokens;
  const auto bound = std::lower_bound(kStepTokenBounds.begin(), kStepTokenBounds.end(), plan.num_tokens);
  ++counters_.steps_by_tokens[static_cast<std::size_t>(bound - kStepTokenBounds.begin())];
}

// Whatever goes wrong here, it goes wrong for this request alone. `logits` are the item's rows, or none where
// the runner drew its token.
void EngineCore::post_process(LiveRequest& live, const ScheduledRequest& item, std::int32_t drawn,
                              std::span<const float> logits) {
  bool is_sampled = false;
  try {
    if (live.request.params.prompt_logprobs) add_prompt_logprobs(live, item, logits);
    if (!item.samples) return;
    if (live.is_scoring) return end_scoring(live, logits);
    SampledToken sampled =
        item.runner_draws
            ? checked_token(drawn)
            : sampler_.sample(logits.last(static_cast<std::size_t>(config_.vocab_size)), live.request);
    is_sampled = true;
    add_token(live, std::move(sampled));
  } catch (const std::exception& error) {
    counters_.num_corrupted += !is_sampled;
    fail(live, error.what());
  }
}

SampledToken EngineCore::checked_token(std::int32_t token) const {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (token == kTokenIsNan || token == kTokenIsInfinite || token == kTokenIsMissing) {
    throw_not_finite(token == kTokenIsNan, token == kTokenIsInfinite ? kInfinity : -kInfinity);
  }
  QUIRE_CHECK_KIND(kInternal, token >= 0 && token < config_.vocab_size, "the runner drew token {} of {}",
                   token, config_.vocab_size);
  return {token, {}};
}

// The row of one token says how likely the next one was. What was made before a preemption is not made again.
void EngineCore::add_prompt_logprobs(LiveRequest& live, const ScheduledRequest& item,
                                     std::span<const float> logits) {
  const auto vocab_size = static_cast<std::size_t>(config_.vocab_size);
  const Request& request = live.request;
  const std::int32_t first = item.computed_len + item.query_len - item.num_logit_rows;
  for (std::int32_t i = 0; i < item.num_logit_rows; ++i) {
    const auto next_idx = static_cast<std::size_t>(first + i) + 1;
    if (next_idx >= static_cast<std::size_t>(request.prompt_len)) return;
    if (next_idx != live.prompt_logprobs.size() + 1) continue;
    live.prompt_logprobs.push_back(sampler_.logprobs_of(
        logits.subspan(vocab_size * static_cast<std::size_t>(i), vocab_size), request.tokens[next_idx],
        static_cast<std::size_t>(*request.params.prompt_logprobs)));
  }
}

// `logits` end with the row that tells of the last prompt token, if somebody asks; else there may be none.
// `live` is gone afterwards.
void EngineCore::end_scoring(LiveRequest& live, std::span<const float> logits) {
  const auto& wanted = live.request.params.prompt_logprobs;
  if (wanted && live.last_prompt_token) {
    live.prompt_logprobs.push_back(
        sampler_.logprobs_of(logits.last(static_cast<std::size_t>(config_.vocab_size)),
                             *live.last_prompt_token, static_cast<std::size_t>(*wanted)));
  }
  RequestOutput& output = add_output(live).output;
  output.prompt_logprobs = std::exchange(live.prompt_logprobs, {});
  end(live, output, FinishReason::kLength);
}

void EngineCore::add_token(LiveRequest& live, SampledToken sampled) {
  Request& request = live.request;
  request.append(sampled.token);
  ++counters_.num_generation_tokens;
  FinishReason reason = check_last_token(request);
  std::string text = text_of_last_token(live, reason);
  RequestOutput& output = add_output(live).output;
  output.token_ids.push_back(sampled.token);
  output.text = std::move(text);
  output.prompt_logprobs = std::exchange(live.prompt_logprobs, {});
  if (sampled.logprobs) output.logprobs.push_back(std::move(*sampled.logprobs));
  if (reason == FinishReason::kNone) return;
  output.stop_string = live.stops.matched();
  if (reason == FinishReason::kStop && output.stop_string.empty()) output.stop_token = sampled.token;
  end(live, output, reason);
}

// A stop string in the text turns `reason` into kStop.
std::string EngineCore::text_of_last_token(LiveRequest& live, FinishReason& reason) {
  if (!live.decoder) return {};
  const Request& request = live.request;
  std::string text, shown;
  // An end token has no text of its own, unless the caller wants to see it.
  if (reason != FinishReason::kStop || request.params.include_stop_str_in_output) {
    text = live.decoder->push(request.tokens.back());
  }
  if (reason != FinishReason::kNone) text += live.decoder->finish();
  if (request.output_len() < request.params.min_tokens) {
    shown = live.stops.push_unchecked(text);
  } else {
    shown = live.stops.push(text);
  }
  if (!live.stops.matched().empty()) {
    reason = FinishReason::kStop;
  } else if (reason != FinishReason::kNone) {
    shown += live.stops.finish();
  }
  return shown;
}

void EngineCore::fail_step(Step& step, const char* why) {
  step.is_complete = false;
  for (std::size_t i = 0; i < step.items.size(); ++i) {
    Request* request = step.items[i].request;  // null once it has failed
    if (!request) continue;
    request->drop_pending();
    fail(live_.at(request->id), why);
  }
}

void EngineCore::fail(LiveRequest& live, const char* why) {
  RequestOutput& output = add_output(live).output;
  output.error = why;
  end(live, output, FinishReason::kError, false);
}

// `live` is gone afterwards.
void EngineCore::end(LiveRequest& live, RequestOutput& output, FinishReason reason, bool is_trusted) {
  output.finish_reason = reason;
  counters_.num_stopped += reason == FinishReason::kStop;
  counters_.num_length_limited += reason == FinishReason::kLength;
  counters_.num_aborted += reason == FinishReason::kAbort;
  counters_.num_failed += reason == FinishReason::kError;
  const RequestId id = live.request.id;
  drop_items(live.request);
  scheduler_.finish(live.request, is_trusted);
  live_.erase(id);
}

// What steps under way compute of the request is not waited for any more.
void EngineCore::drop_items(const Request& request) {
  for (Step* step : {&current_, &next_}) {
    for (ScheduledRequest& item : step->items) {
      if (item.request == &request) item.request = nullptr;
    }
  }
}

StepOutput& EngineCore::add_output(const LiveRequest& live) {
  StepOutput& output = outputs_.emplace_back();
  output.id = live.request.id;
  output.output.prompt_len = live.request.prompt_len + (live.last_prompt_token ? 1 : 0);
  output.output.cached_len = std::max(0, live.request.cached_len);
  output.output.output_len = live.request.output_len();
  return output;
}

RequestOutput EngineCore::cancel(RequestId id) {
  const auto found = live_.find(id);
  if (found == live_.end()) return {};
  outputs_.clear();
  RequestOutput& output = add_output(found->second).output;
  output.text = found->second.stops.finish();
  end(found->second, output, FinishReason::kAbort);
  return std::move(output);
}

void EngineCore::idle() {
  try {
    scheduler_.check_idle();
  } catch (const Error&) {  // pages were lost; since nobody holds any, all can be taken back
    scheduler_.repair();
    ++counters_.num_repairs;
  }
}

bool EngineCore::preempt(RequestId id) {
  const auto found = live_.find(id);
  if (found == live_.end() || found->second.request.state != RequestState::kRunning) return false;
  drop_items(found->second.request);
  scheduler_.force_preempt(found->second.request);
  return true;
}

void EngineCore::describe_pages(EngineSnapshot& snapshot) const {
  snapshot.page_size = config_.kv_cache.page_size;
  scheduler_.describe_pages(snapshot.page_owners);
}

EngineStats EngineCore::stats() const {
  EngineStats stats = counters_;
  const KvCache& kv = scheduler_.kv_cache();
  stats.num_running = scheduler_.num_running();
  stats.num_waiting = scheduler_.num_waiting();
  stats.num_pages = kv.num_usable_pages();
  stats.num_held_pages = kv.num_held_pages();
  stats.kv_usage = static_cast<double>(stats.num_held_pages) / static_cast<double>(stats.num_pages);
  stats.num_unused_slots = kv.num_unused_slots();
  stats.step_time_target_s = config_.scheduler.step_time_target_s;
  stats.num_limited_steps = scheduler_.stats().num_limited_steps;
  stats.prompt_token_s = scheduler_.step_time().prompt_token_s();
  stats.num_preemptions = scheduler_.stats().num_preemptions;
  stats.num_prompt_tokens = scheduler_.stats().num_prompt_tokens;
  stats.prefix_query_tokens = scheduler_.stats().prefix_query_tokens;
  stats.prefix_hit_tokens = scheduler_.stats().prefix_hit_tokens;
  return stats;
}

}  // namespace quire
