// The tuner on a device whose speeds are planted: the CPU's kernels compute, a table says how long that took.
#include "measure/tuner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "targets/cpu/cpu_device.h"

namespace quire {
namespace {

AttentionTiles tiles_of(int num_warps, int keys) { return {num_warps, keys, keys, 2 * keys, 1, 0}; }

// Tiles are names alone. keys 16: does not compile. keys 32: computes wrong values. keys 128: leaves outputs
// as they were.
class PlantedDevice : public Device, public TunableAttention, public AttentionTarget {
 public:
  explicit PlantedDevice(std::map<int, double> speeds) : speeds_(std::move(speeds)) {
    TargetRegistry targets;
    register_cpu_target(targets);
    DeviceOptions options;
    options.settings = {{"cpu.threads", "1"}};
    cpu_ = targets.open("cpu", options);
    caps_ = cpu_->caps();
  }

  const DeviceCaps& caps() const override { return caps_; }
  const AttentionTarget& attention() const override { return *this; }
  KernelAbilities abilities() const override { return cpu_->attention().abilities(); }
  bool rounds_probs(DType v) const override { return cpu_->attention().rounds_probs(v); }
  TunableAttention* tunable() const override { return const_cast<PlantedDevice*>(this); }
  BatchKindCaps caps(const AttentionClass& problem) const override {
    BatchKindCaps caps = cpu_->attention().caps(problem);
    caps.num_programs = 64;  // so that policies plan differently
    caps.split_policy = config_of(problem).split_policy;
    return caps;
  }
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override { return cpu_->allocate(bytes); }
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override {
    cpu_->copy_to_device(to, from, bytes);
  }
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override {
    cpu_->copy_to_host(to, from, bytes);
  }
  void synchronize() override {}
  std::unique_ptr<PageLayout> page_layout(const KvFormat& format, HeadShape heads,
                                          int page_size) const override {
    return cpu_->page_layout(format, heads, page_size);
  }
  std::unique_ptr<WeightLayout> weight_layout(const WeightFormat& format, int out_dim,
                                              int in_dim) const override {
    return cpu_->weight_layout(format, out_dim, in_dim);
  }

  void add_kernel(const KernelVariant& variant) override { kernels_.push_back(cpu_->resolve(variant)); }
  void start_kernel(KernelHandle kernel, const void* params, int num_work, LaunchCost cost) override {
    const int keys = current_.tiles.keys;
    const KernelHandle own = kernels_[static_cast<std::size_t>(kernel.idx)];
    if (kernel_of(variant_of(kernel)) != KernelName::kAttention)
      return cpu_->launch(own, params, num_work, cost);
    last_ = current_;
    if (keys == 128) return;
    cpu_->launch(own, params, num_work, cost);
    if (keys == 32)
      *static_cast<std::uint16_t*>(static_cast<const AttentionParams*>(params)->o) = f32_to_bf16(3.0f);
  }
  std::unique_ptr<Graph> capture(const std::function<void()>& launches) override {
    struct Named : Graph {
      PlantedDevice& device;
      AttentionTuning config;
      Named(PlantedDevice& d, AttentionTuning c) : device(d), config(c) {}
      void launch() override { device.last_ = config; }
    };
    launches();
    return std::make_unique<Named>(*this, current_);
  }
  double time_us(const std::function<void()>& work) override {
    work();
    const double policy = last_.split_policy.min_split_tiles == 1 ? 0.8 : 1;
    return 8000 * policy * speeds_.at(last_.tiles.keys);
  }

  const Chip& chip() const override { return chip_; }
  AttentionTuning heuristics(const AttentionClass&) const override { return {tiles_of(4, 64), {}}; }
  std::vector<AttentionTiles> legal_tiles(const AttentionClass&) const override {
    std::vector<AttentionTiles> tiles;
    for (const auto& [keys, speed] : speeds_) tiles.push_back(tiles_of(keys == 256 ? 8 : 4, keys));
    return tiles;
  }
  void use_config(const AttentionClass& problem, const AttentionTuning& config) override {
    used_[to_string(problem)] = config;
    if (problem.kind == BatchKind::kMixed && mirrors_prefill_) {
      EXPECT_EQ(config.tiles, current_.tiles);
    } else {
      current_ = config;
    }
  }
  std::vector<std::string> prepare_tiles(const AttentionClass&, std::span<const AttentionTiles> tiles,
                                         const std::function<void()>&) override {
    std::vector<std::string> reasons;
    for (const AttentionTiles& t : tiles) reasons.push_back(t.keys == 16 ? "does not compile" : "");
    return reasons;
  }

  const AttentionTuning& config_of(const AttentionClass& problem) const {
    static const AttentionTuning kDefault;
    const auto found = used_.find(to_string(problem));
    return found == used_.end() ? kDefault : found->second;
  }
  void expect_mirror(bool expects) { mirrors_prefill_ = expects; }

 private:
  const std::map<int, double> speeds_;  // by keys
  std::unique_ptr<Device> cpu_;
  DeviceCaps caps_;
  std::vector<KernelHandle> kernels_;  // of the CPU, by handle
  Chip chip_{"planted", "none", "none", 1};
  AttentionTuning current_, last_;
  std::map<std::string, AttentionTuning> used_;
  bool mirrors_prefill_ = false;
};

TuneOptions small_options() {
  TuneOptions options;
  options.desc.num_qo_heads = 8;
  options.desc.num_kv_heads = 1;
  options.desc.head_dim_qk = options.desc.head_dim_vo = 64;
  options.desc.sm_scale = default_sm_scale(64);
  options.max_len = 300;  // two tiles of keys, or one for all
  return options;
}

const TunedCandidate& candidate_of(const TuneReport& report, int keys) {
  const auto is_it = [&](const TunedCandidate& c) { return c.config.tiles.keys == keys; };
  return *std::find_if(report.candidates.begin(), report.candidates.end(), is_it);
}

TEST(Tuner, FindsThePlantedWinnerAmongWhatWorks) {
  PlantedDevice device({{16, 0.1}, {32, 0.2}, {128, 0.3}, {48, 0.7}, {64, 1}, {80, 1.2}});
  AttentionTuner tuner(device, device, small_options());
  const TuneReport report = tuner.tune(BatchKind::kDecode);
  EXPECT_EQ(report.config().tiles, tiles_of(4, 48));
  EXPECT_EQ(report.config().split_policy.min_split_tiles, 1) << "a better policy is found too";
  EXPECT_NEAR(report.speedup, 1 / (0.7 * 0.8), 1e-6);
  EXPECT_EQ(report.problem, (AttentionClass{DType::kBF16, 64, BatchKind::kDecode}));
  EXPECT_EQ(report.candidates[0].config, device.heuristics(report.problem));
  EXPECT_EQ(device.config_of(report.problem), report.config()) << "the device uses what won";
  EXPECT_EQ(candidate_of(report, 16).fate, "does not compile");
  EXPECT_NE(candidate_of(report, 32).fate.find("wrong output: element 0 is 3"), std::string::npos)
      << candidate_of(report, 32).fate;
  EXPECT_NE(candidate_of(report, 128).fate.find("wrong output"), std::string::npos)
      << candidate_of(report, 128).fate;
  EXPECT_EQ(candidate_of(report, 48).fate.find("wrong"), std::string::npos);
}

TEST(Tuner, HeuristicsStayWhereNothingIsFaster) {
  PlantedDevice device({{48, 1.0}, {64, 1}, {80, 0.995}});
  TuneOptions options = small_options();
  options.max_len = 2;  // too short for another policy to plan anything new
  AttentionTuner tuner(device, device, options);
  const TuneReport report = tuner.tune(BatchKind::kDecode);
  EXPECT_EQ(report.winner, 0);
  EXPECT_DOUBLE_EQ(report.speedup, 1);
}

// Blocks of rows are cut before a batch is known to be mixed.
TEST(Tuner, MixedBatchesFollowPrefill) {
  PlantedDevice device({{64, 1}, {48, 0.9}, {256, 0.5}});
  AttentionTuner tuner(device, device, small_options());
  device.expect_mirror(true);
  const TuneReport prefill = tuner.tune(BatchKind::kPrefill);
  device.expect_mirror(false);
  EXPECT_EQ(prefill.config().tiles, tiles_of(8, 256));
  const TuneReport mixed = tuner.tune(BatchKind::kMixed);
  EXPECT_EQ(mixed.config().tiles.num_warps, 8);
  for (const TunedCandidate& c : mixed.candidates) EXPECT_EQ(c.config.tiles.num_warps, 8);
}

TEST(Tuner, LeavesOutWhatItIsTold) {
  PlantedDevice device({{64, 1}, {48, 0.5}, {80, 0.9}});
  TuneOptions options = small_options();
  options.skipped = {"none has this", "48/48 keys"};
  AttentionTuner tuner(device, device, options);
  EXPECT_EQ(tuner.tune(BatchKind::kDecode).config().tiles, tiles_of(4, 80));
}

TEST(Tuner, WithoutTimeTheHeuristicsWin) {
  PlantedDevice device({{64, 1}, {48, 0.5}});
  TuneOptions options = small_options();
  options.spent = [] { return 1.0; };
  AttentionTuner tuner(device, device, options);
  const TuneReport report = tuner.tune(BatchKind::kDecode);
  EXPECT_EQ(report.winner, 0);
  EXPECT_DOUBLE_EQ(report.speedup, 1);
}

TEST(Tuner, BatchesKeepToTheLongestRequest) {
  for (const BatchKind kind : kBatchKinds) {
    EXPECT_GE(tuning_batches(kind, 1 << 20).size(), 4u);
    for (const int max_len : {1, 17, 1000}) {
      const std::vector<BatchSpec> batches = tuning_batches(kind, max_len);
      ASSERT_FALSE(batches.empty());
      for (const BatchSpec& b : batches) {
        EXPECT_LE(*std::max_element(b.kv_len.begin(), b.kv_len.end()), max_len);
        EXPECT_EQ(std::count_if(batches.begin(), batches.end(),
                                [&](const BatchSpec& o) { return o.name == b.name; }),
                  1);
      }
    }
  }
  EXPECT_THROW(tuning_batches(BatchKind::kDecode, 0), Error);
}

TEST(Tuner, PoliciesAreLegalAndDifferent) {
  for (const SplitPolicy& base : {SplitPolicy{}, SplitPolicy{1, 128, 2, 3}}) {
    const std::vector<SplitPolicy> policies = policies_around(base);
    EXPECT_EQ(policies.front(), base);
    for (std::size_t i = 0; i < policies.size(); ++i) {
      EXPECT_GE(policies[i].min_split_tiles, 1);
      EXPECT_GE(
          std::min({policies[i].key_cost_rows, policies[i].item_cost_tiles, policies[i].merge_cost_tiles}),
          0);
      EXPECT_EQ(std::find(policies.begin() + static_cast<std::ptrdiff_t>(i) + 1, policies.end(), policies[i]),
                policies.end());
    }
  }
}

TEST(Tuner, SaysWhichBatchesAreMissing) {
  PlantedDevice device(std::map<int, double>{{64, 1}});
  TuneOptions options = small_options();
  options.max_len = 1;  // then nothing is prefill
  AttentionTuner tuner(device, device, options);
  try {
    tuner.tune(BatchKind::kPrefill);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("no batch of prefill is left with 8/1 heads"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace quire
