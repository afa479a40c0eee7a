#include "selftest/selftest.h"

#include <algorithm>
#include <exception>
#include <set>

#include "base/check.h"
#include "selftest/check.h"

namespace quire {
namespace {

std::vector<Check> all_checks() {
  std::vector<Check> all;
  for (std::vector<Check> group :
       {attention_checks(), attention_trap_checks(), invariance_checks(), merge_state_checks(),
        kv_write_checks(), linear_checks(), layer_checks(), sampling_checks(), ceiling_checks()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

// The checks of one kernel, or all where `kernel` is empty.
std::vector<Check> checks_of(const std::string& kernel) {
  std::vector<Check> all = all_checks();
  if (kernel.empty()) return all;
  std::set<std::string> names;
  for (const Check& check : all) names.insert(check.kernel);
  QUIRE_CHECK_KIND(kNotFound, names.count(kernel) > 0, "no check of a kernel \"{}\"; there are: {}", kernel,
                   fmt::join(names, ", "));
  all.erase(
      std::remove_if(all.begin(), all.end(), [&](const Check& check) { return check.kernel != kernel; }),
      all.end());
  return all;
}

// A case's seed depends on what it checks and not on the order or number of checks, so that a failure can be
// run again.
std::uint64_t seed_of(const SelftestRow& row, std::uint64_t seed, int case_idx) {
  std::uint64_t hash = 0xcbf29ce484222325ull ^ seed;
  for (const char c : row.kernel + "/" + row.feature + "/" + to_string(row.dtype)) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  }
  return hash + static_cast<std::uint64_t>(case_idx) * 0xd1342543de82ef95ull;
}

// An emulated device takes fewer and smaller problems: a minute or so on two cores.
constexpr double kEmulatedScale = 0.02, kEmulatedSize = 0.07;

void run_case(Device& device, const Check& check, std::uint64_t seed, SelftestRow& row, double& worst_ratio) {
  const int case_idx = row.num_cases++;
  Comparison found;
  try {
    // With few cases the lists of values are entered at a random place.
    CheckCase c{device, row.dtype, Random(seed_of(row, seed, case_idx)),
                case_idx + static_cast<int>(seed % 1009), device.caps().is_emulated ? kEmulatedSize : 1.0};
    check.run(c, found);
  } catch (const std::exception& e) {
    found.expect(false, [&] { return fmt::format("exception: {}", e.what()); });
  }
  row.num_failed += found.passed() ? 0 : 1;
  if (found.ratio() < worst_ratio || (found.ratio() == worst_ratio && case_idx > 0)) return;
  worst_ratio = found.ratio();
  row.worst_error = found.error();
  row.worst_bound = found.bound();
  row.worst_case = fmt::format("case {}: {}", case_idx, found.worst());
}

}  // namespace

int SelftestReport::num_cases() const {
  int num = 0;
  for (const SelftestRow& row : rows) num += row.num_cases;
  return num;
}

bool SelftestReport::passed() const {
  return std::all_of(rows.begin(), rows.end(), [](const SelftestRow& row) { return row.passed(); });
}

SelftestReport run_selftest(Device& device, const SelftestOptions& options) {
  const std::vector<Check> checks = checks_of(options.kernel);
  int num_rows = 0;
  for (const Check& check : checks) num_rows += static_cast<int>(check.dtypes.size());
  const double scale = options.scale * (device.caps().is_emulated ? kEmulatedScale : 1.0);
  SelftestReport report;
  for (const Check& check : checks) {
    const int num_cases = std::max(1, static_cast<int>(check.num_cases * scale + 0.5));
    for (const DType dtype : check.dtypes) {
      SelftestRow row;
      row.kernel = check.kernel;
      row.feature = check.feature;
      row.dtype = dtype;
      double worst_ratio = 0;
      while (row.num_cases < num_cases) run_case(device, check, options.seed, row, worst_ratio);
      report.rows.push_back(row);
      if (options.progress) options.progress(row, static_cast<int>(report.rows.size()), num_rows);
    }
  }
  return report;
}

std::string to_table(const SelftestReport& report) {
  std::string table = fmt::format("{:<15} {:<34} {:<5} {:>5} {:>11} {:>11} {:>7}\n", "kernel", "feature",
                                  "dtype", "cases", "worst error", "bound", "");
  for (const SelftestRow& row : report.rows) {
    table += fmt::format("{:<15} {:<34} {:<5} {:>5} {:>11.3g} {:>11.3g} {:>7}\n", row.kernel, row.feature,
                         to_string(row.dtype), row.num_cases, row.worst_error, row.worst_bound,
                         row.passed() ? "ok" : "FAILED");
  }
  int num_failed = 0;
  for (const SelftestRow& row : report.rows) {
    num_failed += row.num_failed;
    if (row.passed()) continue;
    table += fmt::format("\n{} / {} / {}: {} of {} cases failed\n  {}\n", row.kernel, row.feature,
                         to_string(row.dtype), row.num_failed, row.num_cases, row.worst_case);
  }
  return table + fmt::format("{} cases, {} failed\n", report.num_cases(), num_failed);
}

}  // namespace quire
