#include "targets/cuda/chips.h"

#include <algorithm>

#include "base/check.h"
#include "device/device.h"
#include "targets/cuda/driver.h"
#include "targets/cuda/nvrtc.h"

namespace quire {
namespace {

constexpr int kLeastSm = 80;
constexpr int kFamilies[] = {80, 86, 89, 90, 100, 120};

}  // namespace

std::string architecture_of(int sm, std::span<const int> chips) {
  QUIRE_CHECK_KIND(kUnsupported, sm >= kLeastSm, "compute capability {}.{}; the kernels need {}.{}", sm / 10,
                   sm % 10, kLeastSm / 10, kLeastSm % 10);
  int best = 0;
  for (const int chip : chips) {
    if (chip / 10 == sm / 10 && chip <= sm) best = std::max(best, chip);
  }
  QUIRE_CHECK_KIND(kUnsupported, best > 0,
                   "this nvrtc does not compile for compute capability {}.{}, only for {}", sm / 10, sm % 10,
                   fmt::join(chips, ", "));
  return best == 90 ? "sm_90a" : fmt::format("sm_{}", best);
}

int sm_of(const std::string& architecture) {
  const std::string digits =
      architecture.starts_with("sm_") ? architecture.substr(3, architecture.size() - 3) : "";
  const std::size_t num_digits = std::min(digits.find_first_not_of("0123456789"), digits.size());
  const std::string suffix = digits.substr(num_digits);
  QUIRE_CHECK(num_digits >= 2 && num_digits <= 3 && (suffix.empty() || suffix == "a"),
              "an architecture is written like sm_90a, got \"{}\"", architecture);
  return std::stoi(digits.substr(0, num_digits));
}

int kernel_family(int sm) {
  const int* above = std::upper_bound(std::begin(kFamilies), std::end(kFamilies), sm);
  QUIRE_CHECK_KIND(kUnsupported, above != std::begin(kFamilies), "no kernels for sm_{}", sm);
  return above[-1];
}

KernelCompiler make_cuda_compiler(const DeviceOptions& options, int max_major) {
  std::vector<std::string> extra;
  if (options.bool_setting("cuda.lane_arrivals")) extra.emplace_back("-DQUIRE_LANE_ARRIVALS");
  return {std::make_shared<Nvrtc>(options.setting("cuda.nvrtc"), max_major), embedded_kernel_text(),
          options.cache_dir, std::move(extra)};
}

std::string present_architecture(const DeviceOptions& options) {
  const auto driver = Driver::open();
  return architecture_of(driver->facts(options.device_idx).sm, Nvrtc(options.setting("cuda.nvrtc")).chips());
}

}  // namespace quire
