// What the device can do, measured: every benchmark row is compared with ceilings from the same minutes of
// the same machine. docs/ceilings.md says how they are measured, and why there are three of each.
#pragma once

#include <cstdint>
#include <memory>

#include "base/dtype.h"
#include "device/device.h"

namespace quire {

// Over how long a rate holds: a chip lowers its clock when its work reaches the limit of power or heat.
enum class CeilingSpan : std::uint8_t {
  kInstant,    // tens of microseconds after a rest, without what launching costs: the units at that moment's
               // clock
  kBurst,      // the first milliseconds after a rest
  kSustained,  // a second, after another second of the same work: under the limits
};
constexpr double kBurstS = 0.01;

const char* to_string(CeilingSpan span);  // instantaneous, burst, sustained

// The span whose ceilings work of this length is compared with. Of a CPU always the burst: one that others
// share is fast for milliseconds only.
CeilingSpan span_of(const Device& device, double seconds);

// Of one span; 0 = not measured.
struct CeilingRates {
  double read = 0;  // bytes a second from memory far larger than the caches
  double fma = 0;   // f32 flops a second of multiply-adds in registers
  double dot =
      0;  // bf16 flops a second of pair dots in registers; equal in kind to fma where the device has none

  double compute_of(DType dtype) const { return dtype == DType::kBF16 ? dot : fma; }
};

struct Ceilings {
  CeilingRates rates[3];  // by span

  CeilingRates& of(CeilingSpan span) { return rates[static_cast<std::size_t>(span)]; }
  const CeilingRates& of(CeilingSpan span) const { return rates[static_cast<std::size_t>(span)]; }
};

// Measures again at each call and remembers the best: what else runs on the machine can only make it slower.
// Throws Error{kInternal} if a kernel has not read all that it should.
class CeilingMeter {
 public:
  explicit CeilingMeter(Device& device);

  // Reading has no instantaneous rate: what a device reads in microseconds fits into its caches.
  double measure_read(CeilingSpan span = CeilingSpan::kBurst);
  double measure_fma(CeilingSpan span = CeilingSpan::kBurst);
  double measure_dot(CeilingSpan span = CeilingSpan::kBurst);
  double measure_compute_of(DType dtype, CeilingSpan span = CeilingSpan::kBurst) {
    return dtype == DType::kBF16 ? measure_dot(span) : measure_fma(span);
  }

  Device& device() const { return device_; }
  const Ceilings& best() const { return best_; }
  std::size_t read_bytes() const { return data_->bytes(); }  // that one pass reads
  int num_readers() const { return num_readers_; }           // programs that share them, once they are read

  // Leaves the device idle until a burst starts anew, and awake. A CPU needs no rest.
  void rest();

 private:
  // The multiply-adds, or the pair dots: how many make a burst, once known.
  struct Arithmetic {
    KernelName name;
    double flops_per_elem;
    long burst_elems = 0;
  };

  double measure(Arithmetic& arithmetic, CeilingSpan span, double CeilingRates::*rate);
  double instant_rate(const Arithmetic& arithmetic);
  void choose_programs();
  void check_read();
  void launch_read(int part = 0, int num_parts = 1);
  double best_part_s();
  void launch(const Arithmetic& arithmetic, long num_elems);
  double launch_s(const Arithmetic& arithmetic, long num_elems);

  Device& device_;
  const int most_work_;
  std::unique_ptr<Buffer> data_, operands_, sink_;
  Arithmetic fma_, dot_;
  unsigned sum_ = 0;     // of the words of data_
  int num_readers_ = 0;  // programs that share data_, once chosen
  double pass_s_ = 0;    // time of one pass of so many
  Ceilings best_;
};

}  // namespace quire
