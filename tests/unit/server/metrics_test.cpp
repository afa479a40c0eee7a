// The text that Prometheus reads: well-formed, with the names and buckets that dashboards know.
#include "server/metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <sstream>

namespace quire {
namespace {

// {sample name with labels: value}; every sample must belong to a TYPE line above it.
std::map<std::string, double> parse(const std::string& text) {
  std::map<std::string, double> samples;
  std::string family, type;
  std::istringstream lines(text);
  const std::regex sample(R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (-?[0-9.e+-]+|\+Inf|NaN))");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line.substr(7));
      words >> family >> type;
      continue;
    }
    std::smatch match;
    EXPECT_TRUE(std::regex_match(line, match, sample)) << line;
    const std::string name = match[1];
    const bool is_part = type == "histogram" ? name == family + "_bucket" || name == family + "_sum" ||
                                                   name == family + "_count"
                                             : name == family;
    EXPECT_TRUE(is_part) << line << " under " << family;
    EXPECT_TRUE(samples.emplace(name + match[2].str(), std::stod(match[3])).second) << "twice: " << line;
  }
  return samples;
}

constexpr const char* kLabels = "{model_name=\"a \\\"model\\\"\",engine=\"0\"}";

TEST(Metrics, NamesThatRoutersScrape) {
  Metrics metrics;
  metrics.set_model({"a \"model\"", 16, 100, 4096});
  EngineStats stats;
  stats.num_running = 3;
  stats.num_waiting = 4;
  stats.kv_usage = 0.25;
  stats.num_prompt_tokens = 70;
  stats.prefix_hit_tokens = 20;
  stats.steps_by_tokens[0] = 5;
  stats.steps_by_tokens[13] = 1;
  stats.step_time_target_s = 0.05;
  stats.prompt_token_s = 0.25;
  stats.num_limited_steps = 9;
  const auto samples = parse(metrics.text(stats, false));
  const std::string labels = kLabels;
  EXPECT_EQ(samples.at("vllm:num_requests_running" + labels), 3);
  EXPECT_EQ(samples.at("vllm:num_requests_waiting" + labels), 4);
  EXPECT_EQ(samples.at("vllm:kv_cache_usage_perc" + labels), 0.25);
  EXPECT_EQ(samples.at("quire:step_time_target_seconds" + labels), 0.05);
  EXPECT_EQ(samples.at("quire:prompt_token_seconds" + labels), 0.25);
  EXPECT_EQ(samples.at("quire:steps_limited_total" + labels), 9);
  const std::string open = labels.substr(0, labels.size() - 1);
  EXPECT_EQ(samples.at("vllm:cache_config_info" + open + ",block_size=\"16\",num_gpu_blocks=\"100\"}"), 1);
  EXPECT_EQ(samples.at("vllm:prompt_tokens_by_source_total" + open + ",source=\"computed\"}"), 50);
  EXPECT_EQ(samples.at("vllm:iteration_tokens_total_bucket" + open + ",le=\"1\"}"), 5);
  EXPECT_EQ(samples.at("vllm:iteration_tokens_total_bucket" + open + ",le=\"16384\"}"), 5);
  EXPECT_EQ(samples.at("vllm:iteration_tokens_total_bucket" + open + ",le=\"+Inf\"}"), 6);
  for (const char* name :
       {"vllm:num_preemptions_total", "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total",
        "vllm:generation_tokens_total", "vllm:corrupted_requests_total",
        "vllm:time_to_first_token_seconds_count", "vllm:e2e_request_latency_seconds_sum",
        "vllm:request_prompt_tokens_count", "quire:kv_slots_unused"}) {
    EXPECT_TRUE(samples.contains(name + labels)) << name;
  }
  for (const char* reason : {"stop", "length", "abort", "error"}) {
    EXPECT_TRUE(
        samples.contains("vllm:request_success_total" + open + ",finished_reason=\"" + reason + "\"}"));
  }
  EXPECT_FALSE(samples.contains("vllm:gpu_cache_usage_perc" + labels));
  EXPECT_TRUE(parse(metrics.text(stats, true)).contains("vllm:gpu_cache_usage_perc" + labels));
}

TEST(Metrics, ARequestFallsIntoItsBuckets) {
  Metrics metrics;
  metrics.set_model({"m", 16, 100, 4096});
  RequestRecord record;
  record.prompt_len = 7;
  record.output_len = 3;
  record.queue_s = 0.1;
  record.first_token_s = 0.3;
  record.last_token_s = 0.7;
  metrics.observe_first_token(record.first_token_s);
  const auto early = parse(metrics.text({}, false));  // the request still runs
  EXPECT_EQ(early.at("vllm:time_to_first_token_seconds_count{model_name=\"m\",engine=\"0\"}"), 1);
  EXPECT_EQ(early.at("vllm:e2e_request_latency_seconds_count{model_name=\"m\",engine=\"0\"}"), 0);
  metrics.observe_request(record);
  metrics.observe_gap(0.02);
  metrics.observe_call(1);
  const auto samples = parse(metrics.text({}, false));
  const std::string open = "{model_name=\"m\",engine=\"0\"";
  EXPECT_EQ(samples.at("vllm:time_to_first_token_seconds_bucket" + open + ",le=\"0.25\"}"), 0);
  EXPECT_EQ(samples.at("vllm:time_to_first_token_seconds_bucket" + open + ",le=\"0.5\"}"), 1);
  EXPECT_EQ(samples.at("vllm:request_prompt_tokens_bucket" + open + ",le=\"5\"}"), 0);
  EXPECT_EQ(samples.at("vllm:request_prompt_tokens_bucket" + open + ",le=\"10\"}"), 1);
  EXPECT_NEAR(samples.at("vllm:request_time_per_output_token_seconds_sum" + open + "}"), 0.2, 1e-9);
  EXPECT_NEAR(samples.at("vllm:request_prefill_time_seconds_sum" + open + "}"), 0.2, 1e-9);
  EXPECT_EQ(samples.at("vllm:inter_token_latency_seconds_bucket" + open + ",le=\"0.025\"}"), 1);
  EXPECT_EQ(samples.at("vllm:inter_token_latency_seconds_bucket" + open + ",le=\"0.01\"}"), 0);
}

TEST(Metrics, AnAbortBeforeTheFirstTokenHasNoTimes) {
  Metrics metrics;
  metrics.set_model({"m", 16, 100, 4096});
  metrics.observe_request({});
  const auto samples = parse(metrics.text({}, false));
  EXPECT_EQ(samples.at("vllm:time_to_first_token_seconds_count{model_name=\"m\",engine=\"0\"}"), 0);
  EXPECT_EQ(samples.at("vllm:request_prompt_tokens_count{model_name=\"m\",engine=\"0\"}"), 1);
}

TEST(Metrics, HttpWithoutAModel) {
  Metrics metrics;
  metrics.observe_http("/v1/models", "GET", 503, 0.02);
  const auto samples = parse(metrics.text({}, true));
  EXPECT_EQ(samples.at("http_requests_total{handler=\"/v1/models\",method=\"GET\",status=\"503\"}"), 1);
  EXPECT_EQ(samples.at("http_request_duration_seconds_count{handler=\"/v1/models\",method=\"GET\"}"), 1);
}

}  // namespace
}  // namespace quire
