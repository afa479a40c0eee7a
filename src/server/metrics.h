// What dashboards and routers scrape: Prometheus text under the names that vLLM has made common, and a few of
// our own under `quire:`.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quire/output.h"
#include "quire/stats.h"

namespace quire {

// Counts of observations between bounds that never change.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);  // ascending
  void observe(double value);
  // Lines `name_bucket{labels,le="…"}`, `name_sum`, `name_count`. `labels` without braces.
  void write(std::string& text, std::string_view name, std::string_view labels) const;

 private:
  std::vector<double> bounds_;
  std::vector<std::int64_t> counts_;  // [bounds + 1], not cumulative
  double sum_ = 0;
};

// One answer of the engine, from its arrival to its end.
struct RequestRecord {
  std::int64_t prompt_len = 0, cached_len = 0, output_len = 0;
  std::int64_t max_tokens = 0;  // 0: none was asked for
  double queue_s = 0;           // until the first step
  double first_token_s = -1;    // since the arrival; negative: none came
  double last_token_s = 0;      // since the arrival
};

struct ModelFacts {
  std::string name;
  std::int64_t page_size = 0, num_pages = 0, max_model_len = 0;
};

// Any thread may use it.
class Metrics {
 public:
  void set_model(const ModelFacts& facts);

  void observe_call(std::int64_t n);
  void observe_first_token(double time_s);  // after arrival; of a request that may still run
  void observe_gap(double time_s);  // between two tokens of one answer
  void observe_request(const RequestRecord& record);
  void observe_http(std::string_view handler, std::string_view method, int status, double time_s);

  // The whole page. `has_old_names` adds names that routers of older days read.
  std::string text(const EngineStats& stats, bool has_old_names) const;

 private:
  void write_engine(std::string& text, const EngineStats& stats) const;
  void write_own(std::string& text, const EngineStats& stats) const;
  void write_histograms(std::string& text, const EngineStats& stats) const;
  void write_http(std::string& text) const;
  void write_old_names(std::string& text, const EngineStats& stats) const;

  mutable std::mutex mutex_;
  ModelFacts model_;
  std::string labels_;
  std::map<std::string, Histogram, std::less<>> histograms_;  // by name, without "vllm:"
  std::map<std::string, std::int64_t> http_requests_;         // by labels
  std::map<std::string, Histogram> http_times_;               // by labels
};

}  // namespace quire
