// Faults planted into the cuda target's kernels, one at a time: each must be found, by wrong numbers or by a
// report of the emulator. Every barrier, fence and wait that the kernels execute is left out in turn.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <ostream>
#include <tuple>
#include <utility>

#include "conformance/emulated_attention.h"
#include "conformance/faulty_calls.h"
#include "conformance/source_places.h"
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
  // Few rows with a short and a long sum and with several items for each program, and many.
  struct Shape {
    int num_rows, in_dim, out_dim;
  };
  for (const Shape& s : {Shape{7, 200, 100}, {7, 1100, 100}, {7, 200, 700}, {70, 50, 80}, {70, 350, 80}}) {
    Random random(6);
    LinearCase c{};
    c.dtype = dtype;
    c.num_rows = s.num_rows;
    c.in_dim = s.in_dim;
    c.out_dim = s.out_dim;
    c.has_bias = true;
    const LinearProblem problem(device, c, random);
    problem.compare(problem.run(0, s.num_rows, found), found);
  }
}

// A call in the source of one kernel: several sites where the compiler made copies of it.
struct Call {
  SiteKind kind;
  std::string kernel, name;  // as in kRedundant
  std::vector<const void*> addresses;
};

// Calls that may be left out beside the others, and why. A name is the chain of functions of the tile
// language that the call stands in, the kind of the call, and its number among those of that name, from 1 on.
struct Redundant {
  const char* name;
  const char* reason;
};
constexpr Redundant kRedundant[] = {
    // Attention.
    {"map/consumer_barrier, block barrier 1", "ends an item, which shares no memory behind it"},
    {"map/consumer_barrier, named barrier 1", "the same, beside a producer"},
    {"pipeline/run_ring/consumer_barrier, block barrier 2",
     "whatever writes to the ring next has a barrier before it"},
    {"store_rows/store_rows/visit_pairs/Joining/Joining/consumer_barrier, block barrier 1",
     "heads of 64 elements are joined at once: before them stands the barrier of the item before"},
    {"store_rows/visit_pairs/Joining/Joining/consumer_barrier, block barrier 1", "the same"},
    {"store_rows/store_rows/visit_pairs/Joining/consumer_barrier, block barrier 1",
     "whatever writes to this memory next has a barrier before it"},
    {"store_rows/visit_pairs/Joining/consumer_barrier, block barrier 1", "the same"},
    {"store_rows/store_rows/visit_pairs/Joining/consumer_barrier, named barrier 1",
     "the same, beside a producer"},
    {"store_rows/visit_pairs/Joining/consumer_barrier, named barrier 1", "the same, beside a producer"},
    {"store_rows/visit_pairs/Joining/consumer_barrier, named barrier 2", "the same, for more than 8 rows"},
    {"for_each_work/for_each_work, block barrier 1",
     "the item has barriers of its own since the last one was read"},
    {"dot_add/multiply_values/ValueProduct, warp barrier 1",
     "lanes have met in collectives since they read the last tile"},
    {"pipeline/run_roles/consume, warpgroup wait 3", "`update` has waited, to scale the sums"},
    {"pipeline/run_roles/consume/count_warp, arrival 2",
     "no problem here gives a program a second item of many rows that has keys"},
    {"pipeline/run_roles/consume/count_warp, warp barrier 1", "without keys nothing has been read"},
    {"pipeline/run_roles/consume/count_warp, warp barrier 2",
     "lanes have met at the wait for the product before it"},
    {"pipeline/run_roles/count_warp, warp barrier 1",
     "lanes have met in collectives since they read few rows"},
    {"pipeline/run_roles/consume/dot_add/issue_values, warpgroup fence 1",
     "the fence of the scores counts for both: no wait is between"},
    {"row_scale/settle, warpgroup wait 1", "`consume` has waited for all products at its end"},
    {"store_rows/settle, warpgroup wait 1", "the same"},
    {"for_each_work/take_items, arrival wait 1",
     "there are two slots: it matters from a program's third item on"},
    {"for_each_work/take_items/count_warp, arrival 1", "what that waits for"},
    {"for_each_work/take_items/count_warp, arrival 2", "what that waits for"},
    {"for_each_work/take_items/count_warp, warp barrier 1", "what that waits for"},
    {"for_each_work/take_items/count_warp, warp barrier 2", "what that waits for"},
    {"Program, shared memory fence 1",
     "the emulator does not model when the copy engine sees new arrival words"},
    // Linear layers.
    {"each_span/Joining/consumer_barrier, block barrier 1",
     "visit_pairs has ended the item before with a barrier"},
    {"each_span/consumer_barrier, block barrier 1",
     "store_rows joins the sums next, behind a barrier of its own"},
    {"load_block, copy wait 1", "bounds how many copies are under way: a matter of speed"},
    {"pipeline_work/run_ring, copy wait 2", "groups behind the last tile are empty"},
    {"pipeline_work/run_ring/consumer_barrier, block barrier 2",
     "whatever writes to the ring next has a barrier before it"},
    {"pipeline_work/for_each_work, block barrier 1",
     "the item has barriers of its own since the last one was read"},
};

bool is_listed(const std::string& name) {
  return std::any_of(std::begin(kRedundant), std::end(kRedundant),
                     [&](const Redundant& r) { return name == r.name; });
}

// In the order of their names.
std::vector<Call> calls_of(const std::vector<Site>& sites) {
  std::vector<const void*> addresses;
  for (const Site& site : sites) addresses.push_back(site.address);
  const auto places = source_places(addresses);
  using Key = std::pair<std::string, std::string>;        // kernel and name without number
  std::map<Key, std::map<std::vector<int>, Call>> calls;  // by their lines
  for (std::size_t i = 0; i < sites.size(); ++i) {
    std::string chain;
    std::vector<int> lines;
    for (const SourceFrame& frame : places[i]) {
      if (frame.file.find("/tile/") == std::string::npos && frame.file.find("tile/") != 0) continue;
      chain = frame.function + (chain.empty() ? "" : "/" + chain);
      lines.insert(lines.begin(), frame.line);
    }
    const std::string& kernel = places[i].back().function;
    Call& call = calls[{kernel, chain + ", " + to_string(sites[i].kind)}][lines];
    call.kind = sites[i].kind;
    call.kernel = kernel;
    call.addresses.push_back(sites[i].address);
  }
  std::vector<Call> all;
  for (auto& [key, by_lines] : calls) {
    int number = 0;
    for (auto& [lines, call] : by_lines) {
      call.name = fmt::format("{} {}", key.second, ++number);
      all.push_back(std::move(call));
    }
  }
  return all;
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

  // In one of the orders.
  std::string found_fault(void (*work)(Device&, DType, Comparison&)) {
    for (const LaneOrder order : {LaneOrder::kForward, LaneOrder::kReversed, LaneOrder::kShuffled}) {
      if (const std::string text = verdict(order, work); !text.empty()) return text;
    }
    return {};
  }

  // Leaves out one call after the other. What is not missed stays away, so that of two barriers in a row one
  // must be found; and it must be listed in kRedundant.
  void expect_calls_matter(void (*work)(Device&, DType, Comparison&)) {
    take_sites();
    ASSERT_EQ(found_fault(work), "");
    const std::vector<Call> calls = calls_of(take_sites());
    ASSERT_GT(calls.size(), 3u);
    std::map<SiteKind, int> num_found;
    std::vector<const void*> left_out;
    std::string redundant;
    for (const Call& call : calls) {
      std::vector<const void*> planted = left_out;
      planted.insert(planted.end(), call.addresses.begin(), call.addresses.end());
      plant(FaultKind::kSkip, planted);
      if (!found_fault(work).empty()) {
        ++num_found[call.kind];
        continue;
      }
      left_out = planted;
      redundant += fmt::format("\n  {} in {}", call.name, call.kernel);
      EXPECT_TRUE(is_listed(call.name))
          << call.name << " in " << call.kernel << " can be left out, and nothing is missed";
    }
    std::printf("%zu calls; redundant:%s\n", calls.size(), redundant.empty() ? " none" : redundant.c_str());
    for (const Call& call : calls) EXPECT_GT(num_found[call.kind], 0) << to_string(call.kind);
  }

  void expect_found(FaultKind kind, const char* name, void (*work)(Device&, DType, Comparison&)) {
    plant(kind);
    EXPECT_NE(found_fault(work), "") << name;
    plant(FaultKind::kNone);
  }
};

TEST_P(EmulatorFault, BarriersFencesAndWaitsOfAttention) { expect_calls_matter(run_attention); }

TEST_P(EmulatorFault, BarriersAndWaitsOfLinear) { expect_calls_matter(run_linear); }

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
