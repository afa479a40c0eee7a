// Rows of a benchmark: measured in rounds with the ceilings in between, printed as they come, and written as
// JSON.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "apps/bench/ceilings.h"
#include "base/json.h"
#include "device/device.h"

namespace quire {

struct BenchRow {
  std::string name;
  double time_us = 0;   // best round
  LaunchCost cost;      // what the work moves and computes at least
  std::string ceiling;  // "read", "fma" or "dot": the one that binds; empty where neither applies
  double fraction = 0;  // of the time that the ceilings of `span` allow: 1 = as fast as they say
  std::vector<std::pair<std::string, double>>
      more;  // further figures, for the JSON file and the end of the line
  CeilingSpan span = CeilingSpan::kBurst;
};

// One thing to measure.
struct BenchWork {
  std::string name;
  LaunchCost cost;             // of one run
  DType dtype = DType::kBF16;  // whose arithmetic it uses
  std::function<void(int)>
      run;  // starts run number i; called with 0, 1, 2, ... so that it can rotate its data
  bool only_launches = false;  // a run is nothing but launches: recorded once, timed by the device's clock
};

// Rounds of: measure the ceilings, then run the work for as long as a burst, each after a rest; or, where a
// run is too long for that, the sustained ceilings before and after all runs. Best against best: what else
// the machine does only ever makes either slower.
BenchRow measure(Device& device, CeilingMeter& meter, const BenchWork& work, int num_rounds);

class BenchReport {
 public:
  explicit BenchReport(const DeviceCaps& caps) : caps_(caps) {}

  void add(const BenchRow& row);  // prints it, below a heading if it is the first
  void set(const std::string& key, Json value) {
    extra_[key] = std::move(value);
  }  // one more top-level entry of the file

  // Prints the ceilings and writes {"rows", "ceilings": {span: {name: rate}}, "machine"} if a path is given.
  // Throws Error{kInvalidArgument} if it cannot.
  void finish(const Ceilings& ceilings, const std::string& json_path);

 private:
  const DeviceCaps caps_;
  Json rows_ = Json::array();
  Json extra_ = Json::object();
};

std::string human_time(double us);

}  // namespace quire
