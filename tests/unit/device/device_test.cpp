// What every device inherits: variants resolved once, launches checked against them, settings, names of the
// catalogue.
#include "device/device.h"

#include <gtest/gtest.h>

#include <set>

#include "device/registry.h"
#include "kernels/params.h"
#include "unit/error_message.h"

namespace quire {
namespace {

// Counts what it is asked for. Has no norms.
class CountingDevice : public Device {
 public:
  const DeviceCaps& caps() const override { return caps_; }
  const AttentionTarget& attention() const override { throw Error(ErrorKind::kInternal, "not asked for"); }
  std::unique_ptr<Buffer> allocate(std::size_t) override { return nullptr; }
  void copy_to_device(std::byte*, const void*, std::size_t) override {}
  void copy_to_host(void*, const std::byte*, std::size_t) override {}
  void synchronize() override {}
  std::unique_ptr<PageLayout> page_layout(const KvFormat&, HeadShape, int) const override { return nullptr; }
  std::unique_ptr<WeightLayout> weight_layout(const WeightFormat&, int, int) const override {
    return nullptr;
  }

  std::vector<KernelVariant> added;
  std::vector<int> started;

 private:
  void add_kernel(const KernelVariant& variant) override {
    if (kernel_of(variant) == KernelName::kRmsNorm) throw Error(ErrorKind::kUnsupported, "no norms");
    added.push_back(variant);
  }
  void start_kernel(KernelHandle kernel, const void*, int, LaunchCost) override {
    started.push_back(kernel.idx);
  }

  DeviceCaps caps_;
};

TEST(Device, AVariantIsResolvedOnce) {
  CountingDevice device;
  const KernelVariant rope = RowVariant{KernelName::kRope, DType::kBF16},
                      linear = plain_linear(DType::kBF16, DType::kF32);
  const KernelHandle first = device.resolve(rope), second = device.resolve(linear);
  EXPECT_EQ(device.resolve(rope).idx, first.idx);
  EXPECT_EQ(device.resolve(linear).idx, second.idx);
  EXPECT_NE(first.idx, second.idx);
  EXPECT_EQ(device.added, (std::vector<KernelVariant>{rope, linear}));
  message_of([&] { device.resolve(RowVariant{KernelName::kRmsNorm, DType::kF32}); }, ErrorKind::kUnsupported);
  EXPECT_NE(device.resolve(plain_linear(DType::kF32, DType::kF32)).idx, second.idx)
      << "a refused variant takes no handle";
  device.run(second, LinearParams{}, 1);
  EXPECT_EQ(device.started, std::vector<int>{second.idx});
}

TEST(Device, ALaunchThatDoesNotSuitItsVariantIsRefused) {
  CountingDevice device;
  const KernelHandle rope = device.resolve(RowVariant{KernelName::kRope, DType::kF32});
  EXPECT_NE(message_of([&] { device.run(rope, LinearParams{}, 1); }, ErrorKind::kInternal).find("RopeParams"),
            std::string::npos);
  message_of([&] { device.run(KernelHandle{}, RopeParams{}, 1); }, ErrorKind::kInternal);
  message_of([&] { device.run(KernelHandle{7}, RopeParams{}, 1); }, ErrorKind::kInternal);

  AttentionVariant variant;
  variant.heads = {64, 64};
  variant.mods = kModSoftCap;
  const KernelHandle capped = device.resolve(variant);
  AttentionParams params{};
  params.mods = kModSoftCap;
  EXPECT_NO_THROW(device.run(capped, params, 1));
  params.mods = kModSoftCap | kModBias;
  EXPECT_NE(message_of([&] { device.run(capped, params, 1); }, ErrorKind::kInternal).find("score mods 3"),
            std::string::npos);
  EXPECT_EQ(device.started.size(), 1u);
}

TEST(Variant, MixedTypesHaveNoKernelYet) {
  AttentionVariant mixed;
  mixed.q = DType::kF16;
  message_of([&] { common_type(mixed); }, ErrorKind::kUnsupported);
  AttentionVariant scaled;
  scaled.kv.scale = ScaleKind::kPerTokenHead;
  message_of([&] { common_type(scaled); }, ErrorKind::kUnsupported);
  EXPECT_EQ(common_type(AttentionVariant{}), DType::kBF16);
  message_of(
      [&] {
        common_type(LinearVariant{DType::kBF16, {DType::kF16}, DType::kBF16});
      },
      ErrorKind::kUnsupported);
}

TEST(Catalogue, NamesAreThemselvesAndDifferent) {
  std::set<std::string> names;
  for (int i = 0; i < kNumKernels; ++i) {
    const KernelFacts& facts = facts_of(static_cast<KernelName>(i));
    EXPECT_TRUE(names.insert(facts.name).second) << facts.name;
    EXPECT_GT(facts.params_bytes, 0u);
  }
  EXPECT_STREQ(facts_of(KernelName::kAttention).params, "AttentionParams");
  EXPECT_EQ(facts_of(KernelName::kRope).params_bytes, sizeof(RopeParams));
}

TEST(DeviceOptions, SettingsAreCheckedByTheirTarget) {
  DeviceOptions options;
  options.settings = {{"cpu.threads", "3"}, {"cuda.nvrtc", "/x"}};
  EXPECT_EQ(options.int_setting("cpu.threads", 0, 0, 8), 3);
  EXPECT_EQ(options.int_setting("cpu.isa", 5, 0, 8), 5);
  options.settings["cpu.threads"] = "9";
  EXPECT_NE(message_of([&] { options.int_setting("cpu.threads", 0, 0, 8); }, ErrorKind::kInvalidArgument)
                .find("from 0 to 8, got \"9\""),
            std::string::npos);
  options.settings["cpu.threads"] = "2x";
  message_of([&] { options.int_setting("cpu.threads", 0, 0, 8); }, ErrorKind::kInvalidArgument);

  EXPECT_FALSE(options.bool_setting("cuda.lane_arrivals"));
  options.settings["cuda.lane_arrivals"] = "true";
  EXPECT_TRUE(options.bool_setting("cuda.lane_arrivals"));
  options.settings["cuda.lane_arrivals"] = "1";
  EXPECT_NE(message_of([&] { options.bool_setting("cuda.lane_arrivals"); }, ErrorKind::kInvalidArgument)
                .find("true or false, got \"1\""),
            std::string::npos);

  TargetRegistry targets;
  TargetEntry entry;
  entry.name = "cpu";
  entry.why_absent = [](const DeviceOptions&) { return std::string(); };
  entry.open = [](const DeviceOptions&) { return std::make_unique<CountingDevice>(); };
  entry.settings = {"threads"};
  targets.add(entry);
  EXPECT_NO_THROW(targets.open("cpu", options)) << "settings of other targets are passed over";
  options.settings["cpu.thread"] = "2";
  EXPECT_NE(message_of([&] { targets.open("cpu", options); }, ErrorKind::kInvalidArgument)
                .find("no setting \"thread\""),
            std::string::npos);
}

}  // namespace
}  // namespace quire
