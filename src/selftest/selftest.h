// The self-test that a user runs on hardware we have never seen: every kernel of a device against float64
// oracles that share no code with it, on random inputs made from a seed. Memory that a kernel must not read
// holds NaN, memory that it must not write is checked afterwards.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "device/device.h"

namespace quire {

struct SelftestOptions {
  std::uint64_t seed = 1;
  double scale = 1;     // number of cases relative to the default; every check runs at least once.
                        // An emulated device takes a fraction of them, and smaller problems.
  std::string kernel;   // only the checks of this kernel, as the report names it; empty: all of them
  int num_threads = 0;  // that make inputs and compute the oracle; 0: one for each core
  // How far it is, 0 to 1, first with compiling where the device does, then with the cases; and what is
  // being done. From one thread at a time.
  std::function<void(double fraction, const std::string& what)> progress;
};

// One line of the report: all cases of one check with one dtype.
struct SelftestRow {
  std::string kernel, feature;
  DType dtype = DType::kF32;
  int num_cases = 0, num_failed = 0;
  // Of the element with the greatest error relative to its bound; 0 of 0 where every comparison is exact.
  // Infinite error: an infinity or NaN in the wrong place, a touched guard, or an exception.
  double worst_error = 0, worst_bound = 0;
  std::string worst_case;  // what it was, with enough to find it again

  bool passed() const { return num_failed == 0; }
};

struct SelftestReport {
  std::vector<SelftestRow> rows;

  int num_cases() const;
  bool passed() const;
};

// Inputs and oracles take all cores of the host, the device is used by one case at a time. The report does
// not depend on the number of cores.
// Error{kNotFound} with the names that there are if `options.kernel` is none of them.
SelftestReport run_selftest(Device& device, const SelftestOptions& options = {});

// The report for people: one line a row, and the worst case of every row that failed.
std::string to_table(const SelftestReport& report);

// A hash of the bits that batch-invariant attention and the linear kernel give for inputs from `seed`: equal
// on devices of one level whatever their number of threads.
std::uint64_t invariant_bits(Device& device, std::uint64_t seed);

}  // namespace quire
