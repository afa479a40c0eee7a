// What is kept of each request of a load test, and the figures that are made of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace quire {

enum class LoadOutcome {
  kOk,
  kRefused,    // 429
  kHttpError,  // any other status
  kBroken,     // the stream ended early, said "error" or was no event stream
  kNoConnection,
  kTimeout,
};

const char* to_string(LoadOutcome outcome);

// Times are seconds since the stage began. Latencies count from `intended_s`, when the request was due, not
// from when the generator came to send it: a server that stalls also delays those who wait behind.
struct LoadRecord {
  LoadOutcome outcome = LoadOutcome::kBroken;
  int status = 0;     // of HTTP; 0 if no answer came
  std::string error;  // one line; empty if kOk
  double intended_s = 0, sent_s = 0;
  double first_s = 0;  // first event with text
  double last_s = 0;   // last event with text
  double end_s = 0;
  std::int64_t prompt_len = 0, cached_len = 0, output_len = 0;
  bool has_usage = false;  // else output_len counts events with text, and prompt_len is unknown
  std::optional<double> retry_after_s;
  std::vector<float> gaps_s;  // between events with text

  double ttft_s() const { return first_s - intended_s; }
  double e2e_s() const { return end_s - intended_s; }
  // Time per output token after the first; nothing for an answer of one token.
  std::optional<double> tpot_s() const {
    if (output_len < 2) return std::nullopt;
    return (last_s - first_s) / static_cast<double>(output_len - 1);
  }
};

struct Distribution {
  std::int64_t num_values = 0;
  double mean = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;
};

// The value below which the fraction `q` lies, straight between neighbours: at position q * (n - 1) of the
// sorted values. 0 for none. `sorted` must be.
double percentile(const std::vector<double>& sorted, double q);

Distribution distribution_of(std::vector<double> values);

// Limits of a good answer; nothing where there is no limit.
struct LoadGoal {
  std::optional<double> ttft_s, tpot_s;
  bool is_set() const { return ttft_s || tpot_s; }
  bool is_met(const LoadRecord& record) const;  // and the record is kOk
};

struct LoadSummary {
  std::int64_t num_requests = 0, num_ok = 0, num_refused = 0, num_failed = 0;
  std::int64_t num_retry_after = 0;  // refusals that said when to come again
  double mean_retry_after_s = 0;
  std::int64_t num_good = 0;                                    // within the goal
  std::int64_t prompt_len = 0, cached_len = 0, output_len = 0;  // sums over what ended well
  std::int64_t num_with_usage = 0;
  double duration_s = 0;  // from the start of the stage to the last end
  Distribution ttft_s, tpot_s, itl_s, e2e_s;
  Distribution lag_s;                          // how much later than intended the generator itself sent
  std::map<std::string, std::int64_t> errors;  // "429: the queue is full" → how often

  double per_s(std::int64_t count) const {
    return duration_s > 0 ? static_cast<double>(count) / duration_s : 0;
  }
};

LoadSummary summarize(const std::vector<LoadRecord>& records, const LoadGoal& goal);

}  // namespace quire
