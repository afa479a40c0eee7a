// What the device can do, measured: every benchmark row is compared with ceilings from the same minutes of
// the same machine.
#pragma once

#include <memory>

#include "base/dtype.h"
#include "device/device.h"

namespace quire {

// 0 = not measured.
struct Ceilings {
  double read = 0;  // bytes a second from memory far larger than the caches
  double fma = 0;   // f32 flops a second of multiply-adds in registers
  double dot =
      0;  // bf16 flops a second of pair dots in registers; equal in kind to fma where the device has none
};

// Measures again at each call and remembers the best: what else runs on the machine can only make it slower.
class CeilingMeter {
 public:
  explicit CeilingMeter(Device& device);

  double measure_read();
  double measure_fma() { return measure_compute(KernelName::kCeilingFma, 2, fma_elems_, best_.fma); }
  double measure_dot();
  double measure_compute_of(DType dtype) { return dtype == DType::kBF16 ? measure_dot() : measure_fma(); }

  const Ceilings& best() const { return best_; }

 private:
  double measure_compute(KernelName name, double flops_per_elem, long& num_elems, double& best);
  double time_s(KernelName name, const float* data, long num_elems, LaunchCost cost);

  Device& device_;
  std::unique_ptr<Buffer> data_, factors_, sink_;
  long fma_elems_ = 0, dot_elems_ = 0;  // of one measurement, once known
  Ceilings best_;
};

}  // namespace quire
