#include "apps/bench/bench_report.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "apps/console.h"
#include "base/check.h"

namespace quire {
namespace {

constexpr int kCeilingsARound = 2, kMaxRunsARound = 10000;

// Of one run, of so many in a row.
double run_for(Device& device, CeilingMeter& meter, const BenchWork& work, CeilingSpan span, int num_runs,
               int& next_run) {
  if (work.only_launches) {
    const auto graph = device.capture([&] {
      for (int i = 0; i < num_runs; ++i) work.run(next_run++);
    });
    // A first pass, which is not timed, brings the graph to the device and its clocks to where a model's
    // steps find them: right behind a rest each launch takes a microsecond longer.
    if (span == CeilingSpan::kBurst) meter.rest();
    graph->launch();
    return device.time_us([&] { graph->launch(); }) * 1e-6 / num_runs;
  }
  if (span == CeilingSpan::kBurst) meter.rest();
  const double start_s = now_s();
  for (int i = 0; i < num_runs; ++i) work.run(next_run++);
  device.synchronize();
  return (now_s() - start_s) / num_runs;
}

// The time that a roofline of these ceilings allows, and which of them it is.
std::pair<double, const char*> bound_s(const BenchWork& work, const CeilingRates& ceilings) {
  const bool is_dot = work.dtype == DType::kBF16;
  const double read_s = work.cost.bytes / ceilings.read;
  const double compute_s = work.cost.flops / ceilings.compute_of(work.dtype);
  return read_s >= compute_s ? std::pair{read_s, "read"} : std::pair{compute_s, is_dot ? "dot" : "fma"};
}

std::string human_rate(double per_s, const char* unit) {
  return per_s > 0 ? fmt::format("{:.1f} {}", per_s / 1e9, unit) : std::string("-");
}

}  // namespace

BenchRow measure(Device& device, CeilingMeter& meter, const BenchWork& work, int num_rounds) {
  int next_run = 0;
  work.run(next_run++);  // a device may compile its kernels now
  device.synchronize();
  const auto run_s = [&](CeilingSpan s, int num) { return run_for(device, meter, work, s, num, next_run); };
  double best_s = run_s(CeilingSpan::kBurst, 1);  // warms up what can be warm
  if (best_s < 1) best_s = run_s(CeilingSpan::kBurst, 1);
  const CeilingSpan span = span_of(device, best_s);
  const bool is_burst = span == CeilingSpan::kBurst;
  const int num_runs = std::clamp(static_cast<int>(kBurstS / best_s), 1, kMaxRunsARound);
  CeilingRates best;
  const auto measure_ceilings = [&] {
    double& compute = work.dtype == DType::kBF16 ? best.dot : best.fma;
    best.read = std::max(best.read, meter.measure_read(span));
    compute = std::max(compute, meter.measure_compute_of(work.dtype, span));
  };
  for (int round = 0; round < num_rounds; ++round) {
    for (int i = 0; is_burst && i < kCeilingsARound; ++i) measure_ceilings();
    if (!is_burst && round == 0) measure_ceilings();
    best_s = std::min(best_s, run_s(span, num_runs));
  }
  if (!is_burst) measure_ceilings();
  const auto [allowed_s, ceiling] = bound_s(work, best);
  return {work.name, best_s * 1e6, work.cost, ceiling, allowed_s / best_s, {}, span};
}

std::string human_time(double us) {
  if (us < 1000) return fmt::format("{:.1f} us", us);
  return us < 1e6 ? fmt::format("{:.2f} ms", us / 1e3) : fmt::format("{:.2f} s", us / 1e6);
}

void BenchReport::add(const BenchRow& row) {
  if (rows_.empty()) {
    print_now(fmt::format("{:<34} {:>10} {:>9} {:>12} {:>12} {:>15} {:>18} {:>9}\n", "name", "time", "bytes",
                          "flops", "bandwidth", "arithmetic", "ceiling", "fraction"));
  }
  const double per_s = row.time_us > 0 ? 1e6 / row.time_us : 0;
  const bool has_ceiling = !row.ceiling.empty();
  std::string line =
      fmt::format("{:<34} {:>10} {:>9} {:>12} {:>12} {:>15} {:>18} {:>9}", row.name, human_time(row.time_us),
                  row.cost.bytes > 0 ? human_bytes(row.cost.bytes) : "-",
                  row.cost.flops > 0 ? fmt::format("{:.4g}", row.cost.flops) : "-",
                  human_rate(row.cost.bytes * per_s, "GB/s"), human_rate(row.cost.flops * per_s, "GFLOP/s"),
                  has_ceiling ? fmt::format("{}, {}", row.ceiling, to_string(row.span)) : "-",
                  has_ceiling ? fmt::format("{:.1f} %", row.fraction * 100) : "-");
  Json json = {{"name", row.name},        {"time_us", row.time_us}, {"bytes", row.cost.bytes},
               {"flops", row.cost.flops}, {"ceiling", nullptr},     {"span", nullptr},
               {"fraction", nullptr}};
  if (has_ceiling) {
    json["ceiling"] = row.ceiling;
    json["span"] = to_string(row.span);
    json["fraction"] = row.fraction;
  }
  for (const auto& [key, value] : row.more) {
    json[key] = value;
    line += fmt::format("  {} {:.4g}", key, value);
  }
  rows_.push_back(std::move(json));
  print_now(line + "\n");
}

void BenchReport::finish(const Ceilings& ceilings, const std::string& json_path) {
  Json measured = Json::object();
  for (const CeilingSpan span : {CeilingSpan::kInstant, CeilingSpan::kBurst, CeilingSpan::kSustained}) {
    const CeilingRates& rates = ceilings.of(span);
    std::string line;
    const auto add_ceiling = [&](const char* name, double rate, const char* unit) {
      if (rate <= 0) return;
      measured[to_string(span)][name] = rate;
      line += fmt::format("{} {} {}", line.empty() ? "" : ",", name, human_rate(rate, unit));
    };
    add_ceiling("read", rates.read, "GB/s");
    add_ceiling("fma", rates.fma, "GFLOP/s");
    add_ceiling("dot", rates.dot, "GFLOP/s");
    if (!line.empty()) print_now(fmt::format("ceilings, {}:{}\n", to_string(span), line));
  }
  if (json_path.empty()) return;

  Json file = {{"rows", rows_},
               {"ceilings", measured},
               {"machine",
                {{"processor", caps_.description},
                 {"target", caps_.target},
                 {"architecture", caps_.architecture},
                 {"threads", caps_.num_programs},
                 {"has_pair_dot", caps_.has_pair_dot},
                 {"version", QUIRE_VERSION}}}};
  file.update(extra_);
  std::ofstream out(json_path);
  out << file.dump(2) << "\n";
  out.close();
  QUIRE_CHECK(out, "cannot write {}: {}", json_path, std::strerror(errno));
}

}  // namespace quire
