// The results of `quire bench serve`: a table as the stages end, a JSON file, a plot.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "load/load_record.h"

namespace quire {

enum class LoadKind { kRate, kClients, kTrace };

struct StageResult {
  LoadKind kind = LoadKind::kRate;
  double load = 0;  // requests a second, or clients; the mean rate of a trace
  LoadSummary summary;
  std::string label() const;  // "4/s", "16 clients", "trace"
};

class ServeReport {
 public:
  explicit ServeReport(const LoadGoal& goal) : goal_(goal) {}

  void add(StageResult stage);  // prints its row, below a heading if it is the first
  void finish();                // prints what else is to say: gaps, lengths, errors, how tokens were counted

  // `config` becomes an entry of the file. Both throw Error{kInvalidArgument} if the file cannot be written.
  void write_json(const std::string& path, const Json& config) const;
  void write_svg(const std::string& path, const std::string& server) const;

  bool has_answers() const;  // any request ended well

 private:
  std::string token_source() const;

  const LoadGoal goal_;
  std::vector<StageResult> stages_;
};

}  // namespace quire
