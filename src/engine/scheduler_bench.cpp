#include "engine/scheduler_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numbers>

#include "engine/batch.h"
#include "engine/philox.h"
#include "engine/scheduler.h"

namespace quire {
namespace {

using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// Requests with prompts that no other one shares.
std::unique_ptr<Request> make_request(RequestId id, int prompt_len, std::int64_t output_len) {
  auto request = std::make_unique<Request>();
  request->id = id;
  request->prompt_len = prompt_len;
  for (int i = 0; i < prompt_len; ++i) {
    request->tokens.push_back(
        static_cast<std::int32_t>(random_bits(id, static_cast<std::uint64_t>(i)) % 32000));
  }
  request->params.max_tokens = output_len;
  return request;
}

SchedulerStepCost measure_steps(const SchedulerBenchConfig& config, int num_requests) {
  const int longest = config.context_len + config.context_len / 2 + 2 * config.num_steps;
  SchedulerConfig scheduler_config;
  scheduler_config.max_num_seqs = num_requests;
  scheduler_config.max_num_batched_tokens = std::max(8192, num_requests);
  scheduler_config.max_model_len = longest + 1;
  KvCacheConfig kv_config;
  kv_config.page_size = config.page_size;
  kv_config.num_pages = 1 + num_requests * (longest / config.page_size + 1);
  kv_config.has_prefix_cache = config.has_prefix_cache;
  Scheduler scheduler(scheduler_config, kv_config);
  BatchBuilder builder(kv_config);

  std::vector<std::unique_ptr<Request>> requests;
  for (int i = 0; i < num_requests; ++i) {
    const auto spread =
        static_cast<int>(random_bits(7, static_cast<std::uint64_t>(i)) >> 33) % config.context_len;
    requests.push_back(make_request(static_cast<RequestId>(i + 1), config.context_len / 2 + spread, longest));
    scheduler.add(*requests.back());
  }
  const auto step = [&] {
    const StepPlan& plan = scheduler.schedule();
    builder.build(plan);
    scheduler.complete(plan.items);
    for (const ScheduledRequest& item : plan.items) {
      if (item.samples) item.request->append(item.request->computed_len % 32000);
    }
    return plan.num_tokens;
  };
  while (step() != num_requests) continue;  // until every prompt is computed

  std::vector<double> step_us;
  for (int i = 0; i < config.num_steps; ++i) {
    const auto start = Clock::now();
    step();
    step_us.push_back(us_since(start));
  }
  std::sort(step_us.begin(), step_us.end());
  SchedulerStepCost cost;
  cost.num_requests = num_requests;
  cost.step_us = step_us[step_us.size() / 2];
  cost.worst_step_us = step_us[step_us.size() * 99 / 100];
  cost.request_ns = 1000.0 * cost.step_us / num_requests;
  return cost;
}

// Draws the request mix: lengths from inverse distributions of counter-based uniforms, equal on every
// machine.
class RequestMix {
 public:
  explicit RequestMix(const KvWasteConfig& config) : config_(config) {}

  std::unique_ptr<Request> next() {
    const std::uint64_t i = num_made_++;
    const double u0 = 1.0 - random_uniform(config_.seed, 3 * i), u1 = random_uniform(config_.seed, 3 * i + 1);
    const double normal = std::sqrt(-2.0 * std::log(u0)) * std::cos(2.0 * std::numbers::pi * u1);
    const double prompt_len = std::exp(config_.prompt_log_mean + config_.prompt_log_stddev * normal);
    const double u2 = 1.0 - random_uniform(config_.seed, 3 * i + 2);
    const double output_len = config_.output_min_len * std::pow(u2, -1.0 / config_.output_shape);
    const int longest_prompt = config_.max_model_len / 2;
    return make_request(
        i + 1, std::clamp(static_cast<int>(std::min(prompt_len, 1e9)), 1, longest_prompt),
        static_cast<std::int64_t>(std::clamp(output_len, 1.0, double(config_.max_model_len))));
  }

 private:
  KvWasteConfig config_;
  std::uint64_t num_made_ = 0;
};

}  // namespace

std::vector<SchedulerStepCost> measure_scheduler(const SchedulerBenchConfig& config) {
  std::vector<SchedulerStepCost> costs;
  for (const int num_requests : config.num_requests) costs.push_back(measure_steps(config, num_requests));
  return costs;
}

KvWaste simulate_kv_waste(const KvWasteConfig& config) {
  SchedulerConfig scheduler_config;
  scheduler_config.max_num_seqs = 1024;
  scheduler_config.max_num_batched_tokens = 8192;
  scheduler_config.max_model_len = config.max_model_len;
  Scheduler scheduler(scheduler_config, {config.num_pages, config.page_size, true, config.groups});
  RequestMix mix(config);
  std::vector<std::unique_ptr<Request>> live;
  int num_submitted = 0;
  KvWaste waste;
  double unused_sum = 0.0, usage_sum = 0.0, prompt_sum = 0.0, output_sum = 0.0;
  // The queue never runs dry before the last request: the pool works at its limit, as under load.
  while (num_submitted < config.num_requests || !live.empty()) {
    while (num_submitted < config.num_requests && scheduler.num_waiting() < 16) {
      live.push_back(mix.next());
      scheduler.add(*live.back());
      ++num_submitted;
    }
    const StepPlan& plan = scheduler.schedule();
    scheduler.complete(plan.items);
    const KvCache& kv = scheduler.kv_cache();
    if (kv.num_held_pages() > 0 && num_submitted < config.num_requests) {
      ++waste.num_steps;
      unused_sum += kv.num_unused_pages() / kv.num_held_pages();
      usage_sum += static_cast<double>(kv.num_held_pages()) / kv.num_usable_pages();
    }
    for (const ScheduledRequest& item : plan.items) {
      Request& request = *item.request;
      if (!item.samples) continue;
      request.append(request.computed_len % 32000);
      if (request.num_tokens() >= request.max_len) scheduler.finish(request);
    }
    std::erase_if(live, [&](const std::unique_ptr<Request>& request) {
      if (request->state != RequestState::kFinished) return false;
      prompt_sum += request->prompt_len;
      output_sum += request->output_len();
      waste.max_request_len = std::max<std::int64_t>(waste.max_request_len, request->num_tokens());
      return true;
    });
  }
  const double num_steps = static_cast<double>(std::max<std::int64_t>(waste.num_steps, 1));
  waste.unused_percent = 100.0 * unused_sum / num_steps;
  waste.usage_percent = 100.0 * usage_sum / num_steps;
  waste.mean_prompt_len = prompt_sum / config.num_requests;
  waste.mean_output_len = output_sum / config.num_requests;
  waste.num_preemptions = scheduler.stats().num_preemptions;
  return waste;
}

}  // namespace quire
