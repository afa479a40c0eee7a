// One check of the self-test, and what it found. A check is run many times with fresh random inputs.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "device/device.h"
#include "selftest/random.h"

namespace quire {

// Collects the worst of many comparisons. The rule for bounds, everywhere in the self-test: infinities and
// NaN must stand where the oracle has them; elsewhere the error may be kHonestErrors times that of an honest
// computation in the same precision (plain f32 loops on the host, rounded where production kernels round),
// plus a floor of about one rounding of the result and the documented error of the target's exponentials: the
// honest error of few numbers can be small by luck.
class Comparison {
 public:
  static constexpr double kHonestErrors = 2;

  // where() names the element; it is called for the worst one only.
  template <class Where>
  void expect_near(double got, double want, double bound, const Where& where) {
    if (std::isfinite(got) && std::isfinite(want)) {
      const double error = std::fabs(got - want);
      const double ratio = error <= 0 ? 0 : bound > 0 ? error / bound : kInfinity;
      if (ratio > ratio_ || (ratio_ == 0 && bound > bound_))
        note(ratio, error, bound, where() + values(got, want));
    } else if (got != want && !(std::isnan(got) && std::isnan(want))) {
      expect(false, [&] { return where() + values(got, want); });
    }
  }

  // A condition without a measure; a failure counts as an infinite error.
  template <class What>
  void expect(bool condition, const What& what) {
    if (!condition && ratio_ < kInfinity) note(kInfinity, kInfinity, 0, what());
  }

  bool passed() const { return ratio_ <= 1; }
  double ratio() const { return ratio_; }
  double error() const { return error_; }
  double bound() const { return bound_; }
  const std::string& worst() const { return worst_; }

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  static std::string values(double got, double want) {
    return fmt::format(": got {:.9g}, want {:.9g}", got, want);
  }
  void note(double ratio, double error, double bound, std::string worst) {
    ratio_ = ratio;
    error_ = error;
    bound_ = bound;
    worst_ = std::move(worst);
  }

  double ratio_ = 0, error_ = 0, bound_ = 0;
  std::string worst_;
};

// What one case gets.
struct CheckCase {
  Device& device;
  DType dtype;
  Random random;
  int case_idx;                // so that checks can go through lists of values
  double size = 1;             // of the largest problems, in multiply-adds relative to the usual
  std::uint64_t run_seed = 0;  // the same for all cases of a run
};

struct Check {
  std::string kernel, feature;
  int num_cases;  // at scale 1
  std::vector<DType> dtypes;
  std::function<void(CheckCase&, Comparison&)> run;
};

inline const std::vector<DType> kAllDTypes = {DType::kF32, DType::kF16, DType::kBF16};

std::vector<Check> attention_checks();
std::vector<Check> attention_trap_checks();
std::vector<Check> invariance_checks();
std::vector<Check> merge_state_checks();
std::vector<Check> kv_write_checks();
std::vector<Check> linear_checks();
std::vector<Check> layer_checks();
std::vector<Check> sampling_checks();
std::vector<Check> ceiling_checks();

}  // namespace quire
