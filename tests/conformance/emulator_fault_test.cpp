// Faults planted into the cuda target's kernels, one at a time: each must be found, by wrong numbers or by a
// report of the emulator. Every barrier, fence and wait that the kernels execute is left out in turn.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <ostream>
#include <utility>

#include "conformance/emulated_attention.h"
#include "conformance/faulty_calls.h"
#include "selftest/linear_problem.h"
#include "targets/emulator/emulator_device.h"

namespace quire {

std::span<const EmulatedKernel> faulty_kernels();

namespace {

struct Setting {
  int sm;
  DType dtype;
};
void PrintTo(const Setting& s, std::ostream* out) { *out << "sm_" << s.sm << " " << to_string(s.dtype); }

void run_linear(Device& device, DType dtype, Comparison& found) {
  for (const auto& [num_rows, in_dim] :
       {std::pair(7, 200), std::pair(7, 1100), std::pair(70, 50), std::pair(70, 350)}) {
    Random random(6);
    LinearCase c{};
    c.dtype = dtype;
    c.num_rows = num_rows;
    c.in_dim = in_dim;
    c.out_dim = num_rows > 16 ? 80 : 100;
    c.has_bias = true;
    const LinearProblem problem(device, c, random);
    problem.compare(problem.run(0, num_rows, found), found);
  }
}

class EmulatorFault : public testing::TestWithParam<Setting> {
 protected:
  ~EmulatorFault() override { plant(FaultKind::kNone); }

  // What is wrong; empty if all is well. An emulator of its own: a fault may leave counters behind.
  std::string verdict(LaneOrder order, void (*work)(Device&, DType, Comparison&)) {
    EmulatorOptions options;
    options.sm = GetParam().sm;
    options.order = order;
    Comparison found;
    try {
      const auto kernels = faulty_kernels();
      const auto device = open_emulator(options, {kernels.begin(), kernels.end()});
      work(*device, GetParam().dtype, found);
    } catch (const std::exception& e) {
      return e.what();
    }
    return found.passed() ? "" : found.worst();
  }

  // In one of the two orders.
  std::string found_fault(void (*work)(Device&, DType, Comparison&)) {
    for (const LaneOrder order : {LaneOrder::kForward, LaneOrder::kReversed}) {
      if (const std::string text = verdict(order, work); !text.empty()) return text;
    }
    return {};
  }

  // Leaves out one site after the other. What is not missed is redundant beside the others and stays away, so
  // that of two barriers in a row one must be found. Most sites must be, and some of each kind.
  void expect_sites_matter(void (*work)(Device&, DType, Comparison&)) {
    take_sites();
    ASSERT_EQ(found_fault(work), "");
    const std::vector<Site> sites = take_sites();
    std::map<SiteKind, int> num_sites, num_found;
    std::string redundant;
    std::vector<const void*> left_out;
    for (const Site& site : sites) {
      const int number = num_sites[site.kind]++;
      left_out.push_back(site.address);
      plant(FaultKind::kSkip, left_out);
      const std::string text = found_fault(work);
      if (text.empty()) {
        redundant += fmt::format("\n  {} {}", to_string(site.kind), number);
        continue;
      }
      ++num_found[site.kind];
      left_out.pop_back();
    }
    EXPECT_LT(2 * left_out.size(), sites.size()) << "can be left out:" << redundant;
    std::printf("%zu sites; redundant:%s\n", sites.size(), redundant.empty() ? " none" : redundant.c_str());
    for (const auto& [kind, number] : num_sites) EXPECT_GT(num_found[kind], 0) << to_string(kind);
    EXPECT_GT(num_found[SiteKind::kBlockBarrier] + num_found[SiteKind::kNamedBarrier], 3);
  }

  void expect_found(FaultKind kind, const char* name, void (*work)(Device&, DType, Comparison&)) {
    plant(kind);
    EXPECT_NE(found_fault(work), "") << name;
    plant(FaultKind::kNone);
  }
};

TEST_P(EmulatorFault, BarriersFencesAndWaitsOfAttention) { expect_sites_matter(run_attention); }

TEST_P(EmulatorFault, BarriersAndWaitsOfLinear) { expect_sites_matter(run_linear); }

// One group of copies or products too few is waited for, where it matters most: in the loop over tiles.
TEST_P(EmulatorFault, WaitsForOneGroupLess) {
  for (const auto work : {run_attention, run_linear}) {
    take_sites();
    ASSERT_EQ(found_fault(work), "");
    int num_found = 0;
    for (const Site& site : take_sites()) {
      if (site.kind != SiteKind::kCopyWait && site.kind != SiteKind::kWarpgroupWait) continue;
      plant(FaultKind::kWaitLess, {site.address});
      if (!found_fault(work).empty()) ++num_found;
      plant(FaultKind::kNone);
    }
    EXPECT_GE(num_found, 2);
  }
}

TEST_P(EmulatorFault, WrongFragmentsAndPlaces) {
  ASSERT_EQ(found_fault(run_attention), "");
  ASSERT_EQ(found_fault(run_linear), "");
  expect_found(FaultKind::kWrongShuffle, "wrong shuffle", run_attention);
  expect_found(FaultKind::kWrongSwizzle, "wrong swizzle", run_attention);
  expect_found(FaultKind::kWrongSwizzle, "wrong swizzle", run_linear);
  if (GetParam().dtype == DType::kF32) return;  // no matrix instructions
  expect_found(FaultKind::kWrongRow, "wrong row", run_attention);
  expect_found(FaultKind::kWrongRow, "wrong row", run_linear);
  expect_found(FaultKind::kNotTransposed, "not transposed", run_attention);
  expect_found(FaultKind::kSwappedLeft, "swapped left fragment", run_attention);
  expect_found(FaultKind::kSwappedRight, "swapped right fragment", run_linear);
  expect_found(FaultKind::kSwappedSums, "swapped sums", run_linear);
  if (GetParam().sm == 90) expect_found(FaultKind::kWrongDescriptor, "wrong descriptor", run_attention);
}

INSTANTIATE_TEST_SUITE_P(Chips, EmulatorFault,
                         testing::Values(Setting{80, DType::kBF16}, Setting{80, DType::kF32},
                                         Setting{90, DType::kBF16}));

}  // namespace
}  // namespace quire
