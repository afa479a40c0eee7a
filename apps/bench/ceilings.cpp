#include "apps/bench/ceilings.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "apps/console.h"
#include "kernels/params.h"

namespace quire {
namespace {

constexpr std::size_t kReadBytes = std::size_t{512}
                                   << 20;  // larger than any last-level cache of today but a few
constexpr long kFirstElems = 1 << 23;  // of one item of work
constexpr double kComputeS = 0.01;  // length of one measurement of arithmetic

}  // namespace

CeilingMeter::CeilingMeter(Device& device)
    : device_(device),
      data_(device.allocate(kReadBytes)),
      factors_(device.allocate(64)),
      sink_(device.allocate(static_cast<std::size_t>(device.caps().num_programs) * 64)) {
  // Real numbers everywhere: pages that were never written would all be the same zero page in the cache.
  const std::vector<float> ones(1 << 20, 1.0f);
  const std::size_t chunk_bytes = ones.size() * sizeof(float);
  for (std::size_t at = 0; at < kReadBytes; at += chunk_bytes)
    device.copy_to_device(data_->data() + at, ones.data(), chunk_bytes);
  // As f32 just above a half, as a pair of bf16 exactly a half each: no chain overflows or becomes subnormal.
  const float factors[2] = {std::bit_cast<float>(0x3f003f00u), std::bit_cast<float>(0x3e803e80u)};
  device.copy_to_device(factors_->data(), factors, sizeof(factors));
}

double CeilingMeter::time_s(KernelName name, const float* data, long num_elems, LaunchCost cost) {
  CeilingParams params{};
  params.data = data;
  params.sink = sink_->as<float>();
  params.num_elems = num_elems;
  params.num_work = 16 * device_.caps().num_programs;
  return 1e-6 * device_.time_us([&] { device_.run(RowVariant{name, DType::kF32}, params, params.num_work, cost); });
}

double CeilingMeter::measure_read() {
  const auto bytes = static_cast<double>(kReadBytes);
  const double rate =
      bytes / time_s(KernelName::kCeilingRead, data_->as<float>(), kReadBytes / sizeof(float), {bytes, 0});
  best_.read = std::max(best_.read, rate);
  return rate;
}

double CeilingMeter::measure_dot() {
  return measure_compute(KernelName::kCeilingDot, device_.caps().has_pair_dot ? 4 : 2, dot_elems_, best_.dot);
}

double CeilingMeter::measure_compute(KernelName name, double flops_per_elem, long& num_elems, double& best) {
  const auto rate_of = [&](long elems) {
    const double flops = flops_per_elem * static_cast<double>(elems);
    return flops / time_s(name, factors_->as<float>(), elems, {0, flops});
  };
  if (num_elems == 0) {
    const long first = kFirstElems * 16 * device_.caps().num_programs;
    rate_of(first);  // wakes the threads
    num_elems = std::max(first, static_cast<long>(rate_of(first) * kComputeS / flops_per_elem));
  }
  const double rate = rate_of(num_elems);
  best = std::max(best, rate);
  return rate;
}

}  // namespace quire
