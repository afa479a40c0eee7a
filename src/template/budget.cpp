#include "template/budget.h"

#include <ctime>

#include <algorithm>

#include "base/check.h"

namespace quire::jinja {
namespace {

constexpr std::int64_t kStepsBetweenChecks = 2048;

double thread_cpu_s() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

Budget::Budget(const TemplateLimits& limits)
    : limits_(limits),
      start_s_(thread_cpu_s()),
      next_check_(std::min(kStepsBetweenChecks, limits.max_steps + 1)) {}

void Budget::check_steps() {
  QUIRE_CHECK(steps_ <= limits_.max_steps, "the template takes more than {} steps", limits_.max_steps);
  const double used_s = thread_cpu_s() - start_s_;
  QUIRE_CHECK(used_s <= limits_.max_cpu_s,
              "the template takes more than {} s of processor time ({:.3f} after {} steps)",
              limits_.max_cpu_s, used_s, steps_);
  next_check_ = std::min(steps_ + kStepsBetweenChecks, limits_.max_steps + 1);
}

void Budget::charge_bytes(std::size_t num_bytes) {
  check_text_size(num_bytes);
  made_bytes_ += static_cast<std::int64_t>(num_bytes);
  QUIRE_CHECK(made_bytes_ <= limits_.max_made_bytes,
              "the template makes more than {} bytes of intermediate values", limits_.max_made_bytes);
  charge_steps(static_cast<std::int64_t>(num_bytes / 256));
}

void Budget::check_text_size(std::size_t num_bytes) const {
  QUIRE_CHECK(num_bytes <= static_cast<std::size_t>(limits_.max_output_bytes),
              "the template makes a text or list of {} bytes, at most {} are allowed", num_bytes,
              limits_.max_output_bytes);
}

void Budget::enter() {
  if (depth_ >= limits_.max_depth) {
    throw_error(ErrorKind::kInvalidArgument, "the template nests deeper than {} levels", limits_.max_depth);
  }
  ++depth_;
}

}  // namespace quire::jinja
