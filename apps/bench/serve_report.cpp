#include "apps/bench/serve_report.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>

#include "apps/console.h"
#include "base/check.h"
#include "load/svg_plot.h"

namespace quire {
namespace {

constexpr std::size_t kMaxErrorKinds = 6;

std::string three_ms(const Distribution& values, int width) {
  if (values.num_values == 0) return fmt::format("{0:>{1}} {0:>{1}} {0:>{1}}", "-", width);
  const auto text = [](double seconds) {
    const double ms = seconds * 1e3;
    return ms < 9.995   ? fmt::format("{:.2f}", ms)
           : ms < 999.5 ? fmt::format("{:.1f}", ms)
                        : fmt::format("{:.0f}", ms);
  };
  return fmt::format("{:>{}} {:>{}} {:>{}}", text(values.p50), width, text(values.p90), width,
                     text(values.p99), width);
}

Json json_ms(const Distribution& values) {
  if (values.num_values == 0) return nullptr;
  return {{"mean", values.mean * 1e3}, {"p50", values.p50 * 1e3}, {"p90", values.p90 * 1e3},
          {"p99", values.p99 * 1e3},   {"max", values.max * 1e3}, {"num_values", values.num_values}};
}

Json json_of(const StageResult& stage, const LoadGoal& goal) {
  const LoadSummary& sum = stage.summary;
  const char* kinds[] = {"rate", "clients", "trace"};
  Json row = {{"kind", kinds[static_cast<int>(stage.kind)]},
              {"load", std::isfinite(stage.load) ? Json(stage.load) : Json("inf")},
              {"duration_s", sum.duration_s},
              {"num_requests", sum.num_requests},
              {"num_ok", sum.num_ok},
              {"num_refused", sum.num_refused},
              {"num_failed", sum.num_failed},
              {"num_retry_after", sum.num_retry_after},
              {"mean_retry_after_s", sum.mean_retry_after_s},
              {"requests_per_s", sum.per_s(sum.num_ok)},
              {"prompt_tokens", sum.prompt_len},
              {"cached_tokens", sum.cached_len},
              {"output_tokens", sum.output_len},
              {"output_tokens_per_s", sum.per_s(sum.output_len)},
              {"total_tokens_per_s", sum.per_s(sum.output_len + sum.prompt_len)},
              {"ttft_ms", json_ms(sum.ttft_s)},
              {"tpot_ms", json_ms(sum.tpot_s)},
              {"itl_ms", json_ms(sum.itl_s)},
              {"e2e_ms", json_ms(sum.e2e_s)},
              {"send_lag_ms", json_ms(sum.lag_s)},
              {"errors", sum.errors}};
  if (goal.is_set()) {
    row["num_good"] = sum.num_good;
    row["goodput_per_s"] = sum.per_s(sum.num_good);
  }
  return row;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  QUIRE_CHECK(out, "cannot write {}: {}", path, std::strerror(errno));
}

void print_errors(const StageResult& stage) {
  std::vector<std::pair<std::int64_t, std::string>> kinds;
  for (const auto& [what, num] : stage.summary.errors) kinds.emplace_back(num, what);
  std::sort(kinds.rbegin(), kinds.rend());
  for (std::size_t i = 0; i < std::min(kinds.size(), kMaxErrorKinds); ++i)
    print_now(fmt::format("{}: {} times {}\n", stage.label(), kinds[i].first, kinds[i].second));
  if (kinds.size() > kMaxErrorKinds)
    print_now(fmt::format("{}: {} more kinds of failure\n", stage.label(), kinds.size() - kMaxErrorKinds));
  if (stage.summary.num_retry_after > 0)
    print_now(fmt::format("{}: {} refusals said when to come again, after {:.3g} s on average\n",
                          stage.label(), stage.summary.num_retry_after, stage.summary.mean_retry_after_s));
}

}  // namespace

std::string StageResult::label() const {
  if (kind == LoadKind::kTrace) return "trace";
  return kind == LoadKind::kRate ? fmt::format("{:.4g}/s", load)
                                 : fmt::format("{:.0f} client{}", load, load == 1 ? "" : "s");
}

void ServeReport::add(StageResult stage) {
  if (stages_.empty()) {
    const std::string line = fmt::format(
        "{:<12} {:>6} {:>7} {:>6} {:>7} {:>8}   {:^26}   {:^23}   {:>7}\n", "load", "ok", "refused", "failed",
        "ok/s", "tokens/s", "TTFT ms p50 p90 p99", "TPOT ms p50 p90 p99", goal_.is_set() ? "good/s" : "");
    print_now(paint(line, Color::kBold, 1));
  }
  const LoadSummary& sum = stage.summary;
  print_now(fmt::format("{:<12} {:>6} {:>7} {:>6} {:>7.2f} {:>8.1f}   {}   {}   {:>7}\n", stage.label(),
                        sum.num_ok, sum.num_refused, sum.num_failed, sum.per_s(sum.num_ok),
                        sum.per_s(sum.output_len), three_ms(sum.ttft_s, 8), three_ms(sum.tpot_s, 7),
                        goal_.is_set() ? fmt::format("{:.2f}", sum.per_s(sum.num_good)) : ""));
  stages_.push_back(std::move(stage));
}

std::string ServeReport::token_source() const {
  std::int64_t num_ok = 0, num_with_usage = 0;
  for (const StageResult& stage : stages_) {
    num_ok += stage.summary.num_ok;
    num_with_usage += stage.summary.num_with_usage;
  }
  return num_with_usage == num_ok ? "usage" : num_with_usage == 0 ? "events" : "mixed";
}

void ServeReport::finish() {
  print_now(paint(
      fmt::format("\n{:<12} {:^26}   {:^26}   {:>8} {:>8} {:>8}   {:>11}\n", "load", "ITL ms p50 p90 p99",
                  "end to end ms p50 p90 p99", "prompt", "cached", "output", "lag ms p99"),
      Color::kBold, 1));
  for (const StageResult& stage : stages_) {
    const LoadSummary& sum = stage.summary;
    const double num_ok = std::max(1.0, static_cast<double>(sum.num_ok));
    print_now(fmt::format("{:<12} {}   {}   {:>8.1f} {:>8.1f} {:>8.1f}   {:>11.3f}\n", stage.label(),
                          three_ms(sum.itl_s, 8), three_ms(sum.e2e_s, 8),
                          static_cast<double>(sum.prompt_len) / num_ok,
                          static_cast<double>(sum.cached_len) / num_ok,
                          static_cast<double>(sum.output_len) / num_ok, sum.lag_s.p99 * 1e3));
  }
  for (const StageResult& stage : stages_) print_errors(stage);
  const std::string source = token_source();
  print_now(source == "usage" ? "Tokens are those of the server's usage.\n"
            : source == "events"
                ? "The server sends no usage: each event with text counts as one token.\n"
                : "Some answers had no usage: there each event with text counts as one token.\n");
}

void ServeReport::write_json(const std::string& path, const Json& config) const {
  Json rows = Json::array();
  for (const StageResult& stage : stages_) rows.push_back(json_of(stage, goal_));
  const Json file = {
      {"rows", rows}, {"config", config}, {"token_counts", token_source()}, {"version", QUIRE_VERSION}};
  write_file(path, file.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void ServeReport::write_svg(const std::string& path, const std::string& server) const {
  const LoadKind kind = stages_.empty() ? LoadKind::kRate : stages_.front().kind;
  const char* x_label = kind == LoadKind::kClients ? "clients" : "requests offered per second";
  double least = INFINITY, most = 0;
  for (const StageResult& stage : stages_) {
    if (!std::isfinite(stage.load)) continue;
    least = std::min(least, stage.load), most = std::max(most, stage.load);
  }
  const bool has_log_x = most > 10 * least;
  const auto make_series = [&](std::string name, auto value_of, bool is_dashed = false) {
    PlotSeries series{std::move(name), {}, is_dashed};
    for (const StageResult& stage : stages_) series.points.emplace_back(stage.load, value_of(stage));
    return series;
  };
  const auto make_latency = [&](const char* title, Distribution LoadSummary::*values,
                                std::optional<double> limit_s = {}) {
    Plot plot{title, x_label, "ms", has_log_x, true, {}};
    const auto add = [&](const char* name, double Distribution::*point) {
      plot.series.push_back(
          make_series(name, [=](const StageResult& s) { return s.summary.*values.*point * 1e3; }));
    };
    add("p50", &Distribution::p50), add("p90", &Distribution::p90), add("p99", &Distribution::p99);
    if (limit_s)
      plot.series.push_back(make_series(
          "limit", [=](const StageResult&) { return *limit_s * 1e3; }, true));
    return plot;
  };
  Plot rates{"Answers per second", x_label, "requests/s", has_log_x, false, {}};
  rates.series.push_back(
      make_series("answered", [](const StageResult& s) { return s.summary.per_s(s.summary.num_ok); }));
  if (goal_.is_set())
    rates.series.push_back(make_series(
        "within limits", [](const StageResult& s) { return s.summary.per_s(s.summary.num_good); }));
  if (kind != LoadKind::kClients)
    rates.series.push_back(make_series(
        "offered", [](const StageResult& s) { return s.load; }, true));
  write_file(path, render_svg("Load on " + server, "Latencies count from the time a request was due.",
                              {make_latency("Time to first token", &LoadSummary::ttft_s, goal_.ttft_s),
                               make_latency("Time per output token", &LoadSummary::tpot_s, goal_.tpot_s),
                               make_latency("End to end", &LoadSummary::e2e_s), rates},
                              2));
}

bool ServeReport::has_answers() const {
  return std::any_of(stages_.begin(), stages_.end(),
                     [](const StageResult& stage) { return stage.summary.num_ok > 0; });
}

}  // namespace quire
