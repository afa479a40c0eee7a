#include "apps/tune_report.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>

#include "base/check.h"
#include "base/json.h"
#include "base/stable_sort.h"
#include "load/svg_plot.h"

namespace quire {
namespace {

std::string config_text(const AttentionTuning& config) {
  const std::string policy = to_string(config.split_policy);
  return config.tiles == AttentionTiles{} ? policy : fmt::format("{}; {}", to_string(config.tiles), policy);
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  QUIRE_CHECK(file, "cannot write {}: {}", path, std::strerror(errno));
}

// Candidates that were measured, fastest first.
std::vector<const TunedCandidate*> measured_of(const TuneReport& report) {
  std::vector<const TunedCandidate*> found;
  for (const TunedCandidate& c : report.candidates) {
    if (!c.time_us.empty() && std::isfinite(c.score)) found.push_back(&c);
  }
  sort_stably(found, [](const auto* a, const auto* b) { return a->score < b->score; });
  return found;
}

Plot plot_of(const TuneReport& report) {
  Plot plot;
  plot.title = fmt::format("{}, heuristics: 1", to_string(report.problem));
  plot.x_label = "candidate, fastest first";
  plot.y_label = "time over heuristics";
  const std::vector<const TunedCandidate*> measured = measured_of(report);
  const std::vector<double>& base = report.candidates.front().time_us;
  for (std::size_t batch = 0; batch < base.size(); ++batch) {
    PlotSeries series{report.batches[batch], {}, false};
    for (std::size_t i = 0; i < measured.size(); ++i) {
      series.points.emplace_back(static_cast<double>(i + 1), measured[i]->time_us[batch] / base[batch]);
    }
    plot.series.push_back(std::move(series));
  }
  PlotSeries mean{"all (geometric mean)", {}, true};
  for (std::size_t i = 0; i < measured.size(); ++i) mean.points.emplace_back(static_cast<double>(i + 1), measured[i]->score);
  plot.series.push_back(std::move(mean));
  return plot;
}

Json json_of(const TuneReport& report) {
  Json candidates = Json::array();
  for (const TunedCandidate& c : report.candidates) {
    Json json = {{"config", config_text(c.config)}, {"fate", c.fate}, {"time_us", nullptr}, {"score", nullptr}};
    if (!c.time_us.empty()) {
      json["time_us"] = c.time_us;
      json["score"] = c.score;
    }
    candidates.push_back(std::move(json));
  }
  return {{"problem", to_string(report.problem)}, {"batches", report.batches},   {"candidates", candidates},
          {"winner", report.winner},              {"speedup", report.speedup}};
}

}  // namespace

std::string tune_table(const std::vector<TuneReport>& reports) {
  std::string text = fmt::format("{:<18} {:>10} {:>9} {:>8}  {}\n", "problem", "candidates", "measured", "speedup", "configuration");
  std::map<std::string, int> refused;
  for (const TuneReport& report : reports) {
    text += fmt::format("{:<18} {:>10} {:>9} {:>8.3f}  {}{}\n", to_string(report.problem), report.candidates.size(), measured_of(report).size(),
                        report.speedup, config_text(report.config()), report.winner == 0 ? " (heuristics)" : "");
    for (const TunedCandidate& c : report.candidates) {
      if (!c.time_us.empty() && !c.fate.starts_with("wrong")) continue;
      if (c.fate == "no time for it" || c.fate == "heuristics") {
        refused[fmt::format("{}: {}", to_string(report.problem), c.fate)] += 1;
      } else {
        text += fmt::format("  refused: {}: {}\n", config_text(c.config), c.fate.substr(0, c.fate.find('\n')));
      }
    }
  }
  for (const auto& [reason, count] : refused) text += fmt::format("  {} ({})\n", reason, count);
  return text;
}

void write_tune_json(const std::string& path, const Chip& chip, const std::vector<TuneReport>& reports) {
  Json classes = Json::array();
  for (const TuneReport& report : reports) classes.push_back(json_of(report));
  const Json root = {{"chip", to_string(chip)}, {"version", QUIRE_VERSION}, {"classes", classes}};
  write_file(path, root.dump(2, ' ', true, Json::error_handler_t::replace) + "\n");
}

void write_tune_plot(const std::string& path, const Chip& chip, const std::vector<TuneReport>& reports) {
  std::vector<Plot> plots;
  for (const TuneReport& report : reports) plots.push_back(plot_of(report));
  write_file(path, render_svg("quire tune", fmt::format("{}; each candidate's time in the last round that it was measured in", to_string(chip)),
                              plots, 3));
}

}  // namespace quire
