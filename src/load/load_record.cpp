#include "load/load_record.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace quire {

const char* to_string(LoadOutcome outcome) {
  switch (outcome) {
    case LoadOutcome::kOk:
      return "ok";
    case LoadOutcome::kRefused:
      return "refused";
    case LoadOutcome::kHttpError:
      return "http error";
    case LoadOutcome::kBroken:
      return "broken answer";
    case LoadOutcome::kNoConnection:
      return "no connection";
    case LoadOutcome::kTimeout:
      return "timeout";
  }
  return "unknown";
}

double percentile(const std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  const double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - std::floor(position));
}

Distribution distribution_of(std::vector<double> values) {
  Distribution result;
  if (values.empty()) return result;
  std::sort(values.begin(), values.end());
  double sum = 0;
  for (const double value : values) sum += value;
  result.num_values = static_cast<std::int64_t>(values.size());
  result.mean = sum / static_cast<double>(values.size());
  result.p50 = percentile(values, 0.5);
  result.p90 = percentile(values, 0.9);
  result.p99 = percentile(values, 0.99);
  result.max = values.back();
  return result;
}

bool LoadGoal::is_met(const LoadRecord& record) const {
  if (record.outcome != LoadOutcome::kOk) return false;
  if (ttft_s && record.ttft_s() > *ttft_s) return false;
  return !tpot_s || record.tpot_s().value_or(0) <= *tpot_s;
}

LoadSummary summarize(const std::vector<LoadRecord>& records, const LoadGoal& goal) {
  LoadSummary sum;
  std::vector<double> ttft, tpot, itl, e2e, lag;
  for (const LoadRecord& record : records) {
    ++sum.num_requests;
    sum.duration_s = std::max(sum.duration_s, record.end_s);
    lag.push_back(record.sent_s - record.intended_s);
    if (record.outcome != LoadOutcome::kOk) {
      ++(record.outcome == LoadOutcome::kRefused ? sum.num_refused : sum.num_failed);
      const std::string kind = record.status > 0 && record.status != 200 ? fmt::format("{}", record.status)
                                                                         : to_string(record.outcome);
      ++sum.errors[record.error.empty() ? kind : kind + ": " + record.error];
      if (record.retry_after_s) ++sum.num_retry_after, sum.mean_retry_after_s += *record.retry_after_s;
      continue;
    }
    ++sum.num_ok;
    sum.num_good += goal.is_met(record);
    sum.num_with_usage += record.has_usage;
    sum.prompt_len += record.prompt_len;
    sum.cached_len += record.cached_len;
    sum.output_len += record.output_len;
    ttft.push_back(record.ttft_s());
    e2e.push_back(record.e2e_s());
    if (const auto value = record.tpot_s()) tpot.push_back(*value);
    itl.insert(itl.end(), record.gaps_s.begin(), record.gaps_s.end());
  }
  if (sum.num_retry_after > 0) sum.mean_retry_after_s /= static_cast<double>(sum.num_retry_after);
  sum.ttft_s = distribution_of(std::move(ttft));
  sum.tpot_s = distribution_of(std::move(tpot));
  sum.itl_s = distribution_of(std::move(itl));
  sum.e2e_s = distribution_of(std::move(e2e));
  sum.lag_s = distribution_of(std::move(lag));
  return sum;
}

}  // namespace quire
