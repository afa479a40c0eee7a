#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace quire {
namespace {

const std::vector<double> kFirstTokenS = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                                          1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
// vLLM's begin at 10 ms, which is coarse for small models; a superset keeps dashboards working.
const std::vector<double> kTokenS = {.0005, .001, .002, .003, .005, .0075, .01, .025, .05, .075, .1, .15, .2,
                                     .3,    .4,   .5,   .75,  1,    2.5,   5,   7.5,  10,  20,   40, 80};
const std::vector<double> kRequestS = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                       30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const std::vector<double> kHttpS = {.001, .005, .01, .05, .1, .5, 1, 5, 10, 60, 300};
const std::vector<double> kAnswers = {1, 2, 5, 10, 20};

// 1, 2, 5, 10, … up to the first that is not below `last`.
std::vector<double> one_two_five(std::int64_t last) {
  std::vector<double> bounds;
  for (double decade = 1;; decade *= 10) {
    for (const double step : {1.0, 2.0, 5.0}) {
      if (!bounds.empty() && bounds.back() >= static_cast<double>(last)) return bounds;
      bounds.push_back(step * decade);
    }
  }
}

std::string escape_label(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return text;
}

std::string number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return fmt::format("{}", static_cast<std::int64_t>(value));
  return fmt::format("{:.9g}", value);
}

void write_head(std::string& text, std::string_view name, std::string_view type, std::string_view help) {
  text += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

void write_sample(std::string& text, std::string_view name, std::string_view labels, double value) {
  text += fmt::format("{}{{{}}} {}\n", name, labels, number(value));
}

// Families of samples that all carry the same labels.
struct SampleWriter {
  using Values = std::initializer_list<std::pair<const char*, std::int64_t>>;

  std::string& text;
  const std::string& labels;

  void one(std::string_view name, std::string_view type, std::string_view help, double value) const {
    write_head(text, name, type, help);
    write_sample(text, name, labels, value);
  }
  void counter(std::string_view name, std::string_view help, std::int64_t value) const {
    one(name, "counter", help, static_cast<double>(value));
  }
  void by(std::string_view name, std::string_view type, std::string_view help, std::string_view label,
          Values values) const {
    write_head(text, name, type, help);
    for (const auto& [value, count] : values) {
      write_sample(text, name, fmt::format("{},{}=\"{}\"", labels, label, value), static_cast<double>(count));
    }
  }
};

struct HistogramWords {
  const char* name;
  const char* help;
};
constexpr HistogramWords kHistograms[] = {
    {"time_to_first_token_seconds", "From arrival to the first token."},
    {"inter_token_latency_seconds", "Between two tokens of one answer."},
    {"request_time_per_output_token_seconds", "Mean time of a token behind the first, by request."},
    {"e2e_request_latency_seconds", "From arrival to the last token."},
    {"request_queue_time_seconds", "From arrival to the first step."},
    {"request_inference_time_seconds", "From the first step to the last token."},
    {"request_prefill_time_seconds", "From the first step to the first token."},
    {"request_decode_time_seconds", "From the first token to the last."},
    {"request_prompt_tokens", "Prompt tokens of a request."},
    {"request_generation_tokens", "Output tokens of a request."},
    {"request_max_num_generation_tokens", "Longest output of a request."},
    {"request_params_max_tokens", "max_tokens, where it was given."},
    {"request_prefill_kv_computed_tokens", "Prompt tokens that were not found in the prefix cache."},
    {"request_params_n", "Answers asked for in one call."},
};

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1, 0) {}

void Histogram::observe(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<std::size_t>(bound - bounds_.begin())];
  sum_ += value;
}

void Histogram::write(std::string& text, std::string_view name, std::string_view labels) const {
  const char* comma = labels.empty() ? "" : ",";
  std::int64_t total = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i];
    const std::string bound = i < bounds_.size() ? number(bounds_[i]) : "+Inf";
    text += fmt::format("{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma, bound, total);
  }
  text += fmt::format("{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels, number(sum_), total);
}

void Metrics::set_model(const ModelFacts& facts) {
  const std::lock_guard lock(mutex_);
  model_ = facts;
  labels_ = fmt::format("model_name=\"{}\",engine=\"0\"", escape_label(facts.name));
  histograms_.clear();
  for (const auto& [name, help] : kHistograms) {
    const std::string_view view = name;
    const bool is_time = view.ends_with("_seconds");
    const auto& bounds = view == "time_to_first_token_seconds" ? kFirstTokenS
                         : view.starts_with("inter_token") || view.find("per_output") != view.npos ? kTokenS
                         : is_time                                                                 ? kRequestS
                         : view == "request_params_n"                                              ? kAnswers
                                                      : one_two_five(facts.max_model_len);
    histograms_.emplace(name, Histogram(bounds));
  }
}

void Metrics::observe_call(std::int64_t n) {
  const std::lock_guard lock(mutex_);
  histograms_.find("request_params_n")->second.observe(static_cast<double>(n));
}

void Metrics::observe_first_token(double time_s) {
  const std::lock_guard lock(mutex_);
  histograms_.find("time_to_first_token_seconds")->second.observe(time_s);
}

void Metrics::observe_gap(double time_s) {
  const std::lock_guard lock(mutex_);
  histograms_.find("inter_token_latency_seconds")->second.observe(time_s);
}

void Metrics::observe_request(const RequestRecord& record) {
  const std::lock_guard lock(mutex_);
  const auto observe = [this](const char* name, double value) {
    histograms_.find(name)->second.observe(value);
  };
  observe("request_prompt_tokens", static_cast<double>(record.prompt_len));
  observe("request_generation_tokens", static_cast<double>(record.output_len));
  observe("request_max_num_generation_tokens", static_cast<double>(record.output_len));
  observe("request_prefill_kv_computed_tokens", static_cast<double>(record.prompt_len - record.cached_len));
  if (record.max_tokens > 0) observe("request_params_max_tokens", static_cast<double>(record.max_tokens));
  if (record.first_token_s < 0) return;
  observe("e2e_request_latency_seconds", record.last_token_s);
  observe("request_queue_time_seconds", record.queue_s);
  observe("request_inference_time_seconds", std::max(0.0, record.last_token_s - record.queue_s));
  observe("request_prefill_time_seconds", std::max(0.0, record.first_token_s - record.queue_s));
  observe("request_decode_time_seconds", record.last_token_s - record.first_token_s);
  if (record.output_len > 1) {
    observe("request_time_per_output_token_seconds",
            (record.last_token_s - record.first_token_s) / static_cast<double>(record.output_len - 1));
  }
}

void Metrics::observe_http(std::string_view handler, std::string_view method, int status, double time_s) {
  const std::lock_guard lock(mutex_);
  const std::string labels = fmt::format("handler=\"{}\",method=\"{}\"", handler, method);
  ++http_requests_[fmt::format("{},status=\"{}\"", labels, status)];
  http_times_.try_emplace(labels, Histogram(kHttpS)).first->second.observe(time_s);
}

std::string Metrics::text(const EngineStats& stats, bool has_old_names) const {
  const std::lock_guard lock(mutex_);
  std::string text;
  if (!labels_.empty()) {
    write_engine(text, stats);
    write_own(text, stats);
    write_histograms(text, stats);
    if (has_old_names) write_old_names(text, stats);
  }
  write_http(text);
  return text;
}

void Metrics::write_engine(std::string& text, const EngineStats& stats) const {
  const SampleWriter out{text, labels_};
  out.one("vllm:num_requests_running", "gauge", "Requests in the batch.",
          static_cast<double>(stats.num_running));
  out.one("vllm:num_requests_waiting", "gauge", "Requests in the queue.",
          static_cast<double>(stats.num_waiting));
  out.by("vllm:num_requests_waiting_by_reason", "gauge", "Requests in the queue, by why.", "reason",
         {{"capacity", stats.num_waiting}, {"deferred", 0}});
  out.one("vllm:kv_cache_usage_perc", "gauge", "Share of the pages that requests hold, 0 to 1.",
          stats.kv_usage);
  out.counter("vllm:prefix_cache_queries_total", "Tokens looked up in the prefix cache.",
              stats.prefix_query_tokens);
  out.counter("vllm:prefix_cache_hits_total", "Tokens found in the prefix cache.", stats.prefix_hit_tokens);
  out.counter("vllm:num_preemptions_total", "Requests sent back to the queue for lack of pages.",
              stats.num_preemptions);
  out.counter("vllm:prompt_tokens_total", "Prompt tokens of admitted requests.", stats.num_prompt_tokens);
  out.counter("vllm:prompt_tokens_cached_total", "Prompt tokens that were not computed.",
              stats.prefix_hit_tokens);
  out.by("vllm:prompt_tokens_by_source_total", "counter", "Prompt tokens by where they came from.", "source",
         {{"computed", stats.num_prompt_tokens - stats.prefix_hit_tokens},
          {"local_cache", stats.prefix_hit_tokens}});
  out.counter("vllm:generation_tokens_total", "Tokens drawn.", stats.num_generation_tokens);
  out.by("vllm:request_success_total", "counter", "Requests by their end.", "finished_reason",
         {{"stop", stats.num_stopped},
          {"length", stats.num_length_limited},
          {"abort", stats.num_aborted},
          {"error", stats.num_failed},
          {"repetition", 0}});
  out.counter("vllm:corrupted_requests_total", "Requests whose logits were not finite.", stats.num_corrupted);
  write_head(text, "vllm:cache_config_info", "gauge", "Settings of the cache.");
  write_sample(
      text, "vllm:cache_config_info",
      fmt::format("{},block_size=\"{}\",num_gpu_blocks=\"{}\"", labels_, model_.page_size, model_.num_pages),
      1);
}

void Metrics::write_own(std::string& text, const EngineStats& stats) const {
  const SampleWriter out{text, labels_};
  out.counter("quire:steps_total", "Steps of the engine.", stats.num_steps);
  out.by("quire:step_tokens_total", "counter", "Tokens computed in steps.", "kind",
         {{"decode", stats.num_decode_tokens},
          {"extend", stats.num_extend_tokens},
          {"prefill", stats.num_prefill_tokens}});
  out.one("quire:kv_pages_held", "gauge", "Pages that requests hold.",
          static_cast<double>(stats.num_held_pages));
  out.one("quire:kv_slots_unused", "gauge", "Token slots of held pages without a token.",
          static_cast<double>(stats.num_unused_slots));
  out.counter("quire:cache_repairs_total", "Idle checks that found pages lost.", stats.num_repairs);
  out.one("quire:step_seconds_total", "counter", "Time in steps.", stats.step_time_s);
  out.one("quire:step_time_target_seconds", "gauge",
          "Time that steps which continue answers should take at most; 0 = no target.",
          stats.step_time_target_s);
  out.one("quire:prompt_token_seconds", "gauge",
          "Estimate: time that a prompt token adds to a step; 0 = not known.", stats.prompt_token_s);
  out.counter("quire:steps_limited_total", "Steps in which prompts got less for the sake of the target.",
              stats.num_limited_steps);
  if (stats.step_bound_s > 0) {
    out.one("quire:step_ceiling_seconds_total", "counter",
            "Time that the same launches need at the device's ceilings.", stats.step_bound_s);
    out.one("quire:step_ceiling_fraction", "gauge", "Ceiling time / time in steps, since the start.",
            stats.step_bound_s / stats.step_time_s);
  }
}

void Metrics::write_histograms(std::string& text, const EngineStats& stats) const {
  for (const auto& [name, help] : kHistograms) {
    const std::string full = fmt::format("vllm:{}", name);
    write_head(text, full, "histogram", help);
    histograms_.find(name)->second.write(text, full, labels_);
  }
  constexpr std::string_view kName = "vllm:iteration_tokens_total";
  write_head(text, kName, "histogram", "Tokens of one step.");
  std::int64_t num_steps = 0;
  for (std::size_t i = 0; i < stats.steps_by_tokens.size(); ++i) {
    num_steps += stats.steps_by_tokens[i];
    const std::string bound = i < kStepTokenBounds.size() ? fmt::format("{}", kStepTokenBounds[i]) : "+Inf";
    write_sample(text, fmt::format("{}_bucket", kName), fmt::format("{},le=\"{}\"", labels_, bound),
                 static_cast<double>(num_steps));
  }
  const std::int64_t num_tokens =
      stats.num_decode_tokens + stats.num_extend_tokens + stats.num_prefill_tokens;
  write_sample(text, fmt::format("{}_sum", kName), labels_, static_cast<double>(num_tokens));
  write_sample(text, fmt::format("{}_count", kName), labels_, static_cast<double>(num_steps));
}

void Metrics::write_http(std::string& text) const {
  if (http_requests_.empty()) return;
  write_head(text, "http_requests_total", "counter", "Requests by handler, method and status.");
  for (const auto& [labels, count] : http_requests_) {
    write_sample(text, "http_requests_total", labels, static_cast<double>(count));
  }
  write_head(text, "http_request_duration_seconds", "histogram",
             "From a request's arrival to its last byte.");
  for (const auto& [labels, times] : http_times_) times.write(text, "http_request_duration_seconds", labels);
}

void Metrics::write_old_names(std::string& text, const EngineStats& stats) const {
  const auto one = [&](std::string_view name, std::string_view type, double value) {
    write_head(text, name, type, "An older name.");
    write_sample(text, name, labels_, value);
  };
  const auto queries = static_cast<double>(stats.prefix_query_tokens);
  const auto hits = static_cast<double>(stats.prefix_hit_tokens);
  one("vllm:gpu_cache_usage_perc", "gauge", stats.kv_usage);
  one("vllm:gpu_prefix_cache_queries_total", "counter", queries);
  one("vllm:gpu_prefix_cache_hits_total", "counter", hits);
  one("vllm:gpu_prefix_cache_hit_rate", "gauge", queries > 0 ? hits / queries : 0);
  one("vllm:num_requests_swapped", "gauge", 0);
  write_head(text, "vllm:time_per_output_token_seconds", "histogram", "An older name.");
  histograms_.find("inter_token_latency_seconds")
      ->second.write(text, "vllm:time_per_output_token_seconds", labels_);
}

}  // namespace quire
