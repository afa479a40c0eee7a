#include "selftest/selftest.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "base/check.h"
#include "selftest/check.h"
#include "selftest/shared_device.h"

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
std::uint64_t seed_of(const Check& check, DType dtype, std::uint64_t seed, int case_idx) {
  std::uint64_t hash = 0xcbf29ce484222325ull ^ seed;
  for (const char c : check.kernel + "/" + check.feature + "/" + to_string(dtype)) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  }
  return hash + static_cast<std::uint64_t>(case_idx) * 0xd1342543de82ef95ull;
}

// An emulated device takes fewer and smaller problems: a minute or so on two cores.
constexpr double kEmulatedScale = 0.02, kEmulatedSize = 0.07;

constexpr double kCompileShare = 0.5;  // of the progress, on a device that compiles

// What is left of a comparison once it is over.
struct CaseResult {
  bool passed = false;
  double ratio = 0, error = 0, bound = 0;
  std::string worst;
};

// One line of the report while its cases run, in any order and on any thread.
struct RowRun {
  const Check* check;
  DType dtype;
  std::vector<CaseResult> results;  // by case
};

// All cases of all checks, on all cores; the device is used by one at a time.
class SelftestRun {
 public:
  SelftestRun(Device& device, const SelftestOptions& options)
      : device_(device), options_(options), checks_(checks_of(options.kernel)) {
    const double scale = options.scale * (device.caps().is_emulated ? kEmulatedScale : 1.0);
    for (const Check& check : checks_) {
      const int num_cases = std::max(1, static_cast<int>(check.num_cases * scale + 0.5));
      for (const DType dtype : check.dtypes) {
        for (int i = 0; i < num_cases; ++i) cases_.push_back({rows_.size(), i});
        rows_.push_back({&check, dtype, std::vector<CaseResult>(static_cast<std::size_t>(num_cases))});
      }
    }
  }

  SelftestReport run() {
    if (device_.caps().compiles_kernels) compile_kernels();
    const auto mutex = std::make_shared<std::mutex>();
    on_all_cores([&](const CaseId& id) {
      SharedDevice device(device_, mutex);
      CaseResult result = run_case(device, id);
      finish_case(id, std::move(result));
    });
    SelftestReport report;
    for (const RowRun& row : rows_) report.rows.push_back(to_report(row));
    return report;
  }

 private:
  struct CaseId {
    std::size_t row;
    int idx;
  };

  template <class Work>
  void on_all_cores(const Work& work) {
    std::atomic<std::size_t> next{0};
    const auto take_cases = [&] {
      for (std::size_t i; (i = next++) < cases_.size();) work(cases_[i]);
    };
    const std::size_t num_threads = options_.num_threads > 0
                                        ? static_cast<std::size_t>(options_.num_threads)
                                        : std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < std::min(num_threads, cases_.size()); ++i) threads.emplace_back(take_cases);
    take_cases();
  }

  CheckCase make_case(Device& device, const CaseId& id) const {
    const RowRun& row = rows_[id.row];
    // With few cases the lists of values are entered at a random place.
    return {device,
            row.dtype,
            Random(seed_of(*row.check, row.dtype, options_.seed, id.idx)),
            id.idx + static_cast<int>(options_.seed % 1009),
            device.caps().is_emulated ? kEmulatedSize : 1.0,
            options_.seed};
  }

  CaseResult run_case(Device& device, const CaseId& id) const {
    Comparison found;
    try {
      CheckCase c = make_case(device, id);
      rows_[id.row].check->run(c, found);
    } catch (const std::exception& e) {
      found.expect(false, [&] { return fmt::format("exception: {}", e.what()); });
    }
    return {found.passed(), found.ratio(), found.error(), found.bound(), found.worst()};
  }

  void finish_case(const CaseId& id, CaseResult result) {
    const std::lock_guard lock(mutex_);
    RowRun& row = rows_[id.row];
    row.results[static_cast<std::size_t>(id.idx)] = std::move(result);
    ++num_done_;
    if (!options_.progress) return;
    const double done = static_cast<double>(num_done_) / static_cast<double>(cases_.size());
    const double before = device_.caps().compiles_kernels ? kCompileShare : 0;
    options_.progress(before + (1 - before) * done, row.check->kernel + ": " + row.check->feature);
  }

  static SelftestRow to_report(const RowRun& run) {
    SelftestRow row;
    row.kernel = run.check->kernel;
    row.feature = run.check->feature;
    row.dtype = run.dtype;
    double worst_ratio = -1;
    for (const CaseResult& result : run.results) {
      const int case_idx = row.num_cases++;
      row.num_failed += result.passed ? 0 : 1;
      if (result.ratio <= worst_ratio) continue;
      worst_ratio = result.ratio;
      row.worst_error = result.error;
      row.worst_bound = result.bound;
      row.worst_case = fmt::format("case {}: {}", case_idx, result.worst);
    }
    return row;
  }

  // Each case is played up to its first result without the device, to learn what it launches. A case that
  // fails on the way, or a kernel that does not compile, is left for the case itself to report.
  void compile_kernels() {
    std::mutex mutex;
    std::vector<RecordedLaunch> launches;
    on_all_cores([&](const CaseId& id) {
      RecordingDevice recording(device_);
      try {
        Comparison nothing;
        CheckCase c = make_case(recording, id);
        rows_[id.row].check->run(c, nothing);
      } catch (const RecordingDevice::RecordingEnds&) {
      } catch (const std::exception&) {
      }
      const std::lock_guard lock(mutex);
      launches.insert(launches.end(), recording.launches().begin(), recording.launches().end());
    });
    try {
      device_.prepare([&] { start_all(launches); },
                      [&](int num_done, int num_kernels) {
                        if (!options_.progress) return;
                        options_.progress(kCompileShare * num_done / num_kernels,
                                          fmt::format("compiling {} kernels", num_kernels));
                      });
    } catch (const Error&) {
    }
  }

  void start_all(const std::vector<RecordedLaunch>& launches) {
    for (const RecordedLaunch& launch : launches) {
      try {
        device_.launch(device_.resolve(launch.variant), launch.params.data(), launch.num_work, {});
      } catch (const Error&) {
      }
    }
  }

  Device& device_;
  const SelftestOptions& options_;
  const std::vector<Check> checks_;
  std::vector<RowRun> rows_;
  std::vector<CaseId> cases_;
  std::mutex mutex_;  // of results and progress
  std::size_t num_done_ = 0;
};

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
  return SelftestRun(device, options).run();
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
