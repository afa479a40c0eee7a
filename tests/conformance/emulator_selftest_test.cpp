// The self-test on emulated chips, with lanes in every order.
#include <gtest/gtest.h>

#include "base/check.h"
#include "conformance/emulated_attention.h"
#include "selftest/selftest.h"
#include "selftest/shared_device.h"
#include "targets/cuda/chips.h"
#include "targets/emulator/emulator_device.h"
#include "targets/jit/kernel_forms.h"

namespace quire {
namespace {

struct Setting {
  const char* device;
  std::uint64_t seed;
  double scale;
};
void PrintTo(const Setting& s, std::ostream* out) { *out << s.device << " seed " << s.seed; }

class EmulatorSelftest : public testing::TestWithParam<Setting> {};

TEST_P(EmulatorSelftest, Passes) {
  TargetRegistry registry;
  register_emulator_target(registry);
  const auto device = registry.open(GetParam().device);
  SelftestOptions options;
  options.seed = GetParam().seed;
  options.scale = GetParam().scale;
  const SelftestReport report = run_selftest(*device, options);
  EXPECT_TRUE(report.passed()) << to_table(report);
}

INSTANTIATE_TEST_SUITE_P(Chips, EmulatorSelftest,
                         testing::Values(Setting{"emulator:sm_80", 1, 1},
                                         Setting{"emulator:sm_80/reversed", 2, 0.2},
                                         Setting{"emulator:sm_80/shuffled", 3, 0.2},
                                         Setting{"emulator:sm_90a", 4, 1},
                                         Setting{"emulator:sm_90a/reversed", 5, 0.2},
                                         Setting{"emulator:sm_90a/shuffled", 6, 0.2}));

// A device that says that it compiles its kernels, as the chips that are emulated do.
class CompilingDevice : public SharedDevice {
 public:
  explicit CompilingDevice(Device& device) : SharedDevice(device), device_(device), caps_(device.caps()) {
    caps_.compiles_kernels = true;
  }
  const DeviceCaps& caps() const override { return caps_; }
  void prepare(const std::function<void()>& launches, const CompileProgress& progress) override {
    device_.prepare(launches, progress);
  }

 private:
  Device& device_;
  DeviceCaps caps_;
};

TEST(EmulatorDevice, KernelsAreCompiledTogetherBeforeTheCases) {
  EmulatorOptions emulator;
  emulator.sm = 90;
  const auto device = open_emulator(emulator);
  CompilingDevice compiling(*device);
  SelftestOptions options;
  options.scale = 0.2;
  int num_compiled = 0;
  bool has_begun = false;
  options.progress = [&](double, const std::string& what) {
    const bool compiles = what.starts_with("compiling");
    EXPECT_FALSE(compiles && has_begun);
    num_compiled += compiles ? 1 : 0;
    has_begun |= !compiles;
  };
  const SelftestReport report = run_selftest(compiling, options);
  EXPECT_TRUE(report.passed()) << to_table(report);
  EXPECT_GE(num_compiled, 20);
}

// Heads whose sums of V do not fit into registers at once, and sizes that are no whole panels: with kernels
// of their own and without, and in pages that are no multiple of 8 tokens.
TEST(EmulatorDevice, HeadsOfManySizes) {
  struct Shape {
    HeadShape heads;
    int page_size;
  };
  constexpr Shape kShapes[] = {{{576, 512}, 16}, {{512, 512}, 16}, {{300, 290}, 16}, {{40, 400}, 16},
                               {{80, 80}, 16},   {{96, 96}, 16},   {{112, 112}, 8},  {{40, 104}, 16},
                               {{40, 104}, 12},  {{120, 56}, 128}, {{120, 56}, 12},  {{119, 53}, 16},
                               {{104, 72}, 16},  {{104, 72}, 12},  {{9, 120}, 16}};
  for (const int sm : {80, 90}) {
    EmulatorOptions options;
    options.sm = sm;
    const auto device = open_emulator(options);
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      for (const Shape& shape : kShapes) {
        AttentionCase c = attention_cases(dtype).front();
        c.desc.head_dim_qk = shape.heads.qk;
        c.desc.head_dim_vo = shape.heads.vo;
        c.desc.page_size = shape.page_size;
        c.desc.sm_scale = default_sm_scale(shape.heads.qk);
        c.query_len = {20, 1, 1, 2, 1};  // a ring is filled for the next item while sums of one are joined
        c.kv_len = {70, 130, 40, 90, 150};
        Comparison found;
        run_case(*device, c, found);
        EXPECT_TRUE(found.passed()) << shape.heads.qk << "/" << shape.heads.vo << " in pages of "
                                    << shape.page_size << " on sm_" << sm << ": " << found.worst();
      }
    }
  }
}

TEST(EmulatorDevice, HasEveryKernelOfItsChips) {
  for (const int sm : {80, 90}) {
    const auto rules = cuda_rules(sm, kEmulatedHeads);
    for (const KernelInstance& instance : all_instances(*rules, kEmulatedHeads)) {
      const std::string name = make_kernel(instance, *rules).name;
      int num_found = 0;
      for (const EmulatedKernel& k : emulated_kernels()) num_found += k.sm == sm && name == k.name ? 1 : 0;
      EXPECT_EQ(num_found, 1) << name << " for sm_" << sm;
    }
  }
}

TEST(EmulatorDevice, Names) {
  EXPECT_EQ(parse_emulator_architecture("sm_90a").sm, 90);
  EXPECT_EQ(parse_emulator_architecture("sm_80/shuffled").order, LaneOrder::kShuffled);
  EXPECT_THROW(parse_emulator_architecture("sm_80/sideways"), Error);
  EXPECT_THROW(parse_emulator_architecture("hopper"), Error);
  TargetRegistry registry;
  register_emulator_target(registry);
  EXPECT_THROW(registry.open("emulator:sm_70"), Error);
}

}  // namespace
}  // namespace quire
