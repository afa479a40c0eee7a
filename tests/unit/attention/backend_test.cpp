#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "attention/attention.h"
#include "attention/reference.h"
#include "base/error.h"

namespace quire {
namespace {

AttentionDesc good_desc() {
  AttentionDesc d;
  d.num_qo_heads = 8;
  d.num_kv_heads = 2;
  d.head_dim_qk = d.head_dim_vo = 64;
  d.sm_scale = default_sm_scale(64);
  return d;
}

// A device that is asked for facts alone.
class FactsDevice : public Device, public AttentionTarget {
 public:
  FactsDevice(const char* target, bool has_kernel, bool is_host) : is_host_(is_host) {
    caps_.target = target;
    if (has_kernel) abilities_ = {kAllScoreMods, {true, true, true}, {256, 256}};
  }
  KernelAbilities& abilities_of() { return abilities_; }

  const DeviceCaps& caps() const override { return caps_; }
  const AttentionTarget& attention() const override { return *this; }
  std::unique_ptr<Buffer> allocate(std::size_t) override { return nullptr; }
  void copy_to_device(std::byte*, const void*, std::size_t) override {}
  void copy_to_host(void*, const std::byte*, std::size_t) override {}
  void synchronize() override {}
  DeviceMemory memory() const override { return {0, 0, is_host_}; }
  std::unique_ptr<PageLayout> page_layout(const KvFormat&, HeadShape, int) const override { return nullptr; }
  std::unique_ptr<WeightLayout> weight_layout(const WeightFormat&, int, int) const override {
    return nullptr;
  }
  KernelAbilities abilities() const override { return abilities_; }
  BatchKindCaps caps(const AttentionClass&) const override { return {}; }
  bool rounds_probs(DType) const override { return false; }

 private:
  void add_kernel(const KernelVariant&) override {}
  void start_kernel(KernelHandle, const void*, int, LaunchCost) override {}

  DeviceCaps caps_;
  KernelAbilities abilities_;
  const bool is_host_;
};

template <class F>
Error error_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorKind::kInternal, "no error");
}

TEST(AttentionDesc, FieldsOutOfRangeAreNamedWithTheirValue) {
  struct Case {
    std::function<void(AttentionDesc&)> break_it;
    const char* message;
  };
  const Case cases[] = {
      {[](AttentionDesc& d) { d.num_kv_heads = 0; }, "num_kv_heads must be 1 to 65536, got 0"},
      {[](AttentionDesc& d) { d.num_qo_heads = 7; },
       "num_qo_heads must be a multiple of num_kv_heads (2), got 7"},
      {[](AttentionDesc& d) { d.num_qo_heads = 0; }, "num_qo_heads"},
      {[](AttentionDesc& d) { d.head_dim_qk = 577; }, "head_dim_qk must be 1 to 576, got 577"},
      {[](AttentionDesc& d) { d.head_dim_vo = 0; }, "head_dim_vo must be 1 to 512, got 0"},
      {[](AttentionDesc& d) { d.page_size = 0; }, "page_size must be 1 to 65536 tokens, got 0"},
      {[](AttentionDesc& d) { d.sm_scale = NAN; }, "sm_scale must be finite, got nan"},
      {[](AttentionDesc& d) { d.window = -1; }, "window must be 0 (all keys) or more, got -1"},
      {[](AttentionDesc& d) { d.logits_soft_cap = -2; }, "logits_soft_cap"},
      {[](AttentionDesc& d) { d.logits_soft_cap = INFINITY; }, "logits_soft_cap"},
  };
  EXPECT_NO_THROW(check_desc(good_desc()));
  for (const Case& c : cases) {
    AttentionDesc d = good_desc();
    c.break_it(d);
    const Error e = error_of([&] { check_desc(d); });
    EXPECT_EQ(e.kind(), ErrorKind::kInvalidArgument) << c.message;
    EXPECT_NE(std::string(e.what()).find(c.message), std::string::npos) << e.what();
  }
}

TEST(AttentionDesc, ScaleIsThatOfTheTrueHeadSize) {
  EXPECT_EQ(default_sm_scale(64), 0.125f);
  EXPECT_FLOAT_EQ(default_sm_scale(192), 1 / std::sqrt(192.0f));
}

TEST(Backends, AutomaticChoiceTakesTheFirstThatCan) {
  const BackendChoice choice = choose_backend("auto", good_desc(), FactsDevice("cpu", true, true));
  EXPECT_STREQ(choice.backend->name(), "unified");
  ASSERT_EQ(choice.reasons.size(), 1u);
  EXPECT_NE(choice.reasons[0].find("chosen"), std::string::npos);
}

TEST(Backends, AutomaticChoiceFallsBackAndSaysWhy) {
  const BackendChoice choice = choose_backend("", good_desc(), FactsDevice("cpu", false, true));
  EXPECT_STREQ(choice.backend->name(), "reference");
  ASSERT_EQ(choice.reasons.size(), 2u);
  EXPECT_NE(choice.reasons[0].find("unified: "), std::string::npos);
  EXPECT_NE(choice.reasons[0].find("no attention kernel"), std::string::npos);
  const Error e = error_of([] { choose_backend("", good_desc(), FactsDevice("cuda", false, false)); });
  EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
  EXPECT_NE(std::string(e.what()).find("reference"), std::string::npos) << e.what();
}

// A backend's answers are those of the target's kernels.
TEST(Backends, AFeatureThatNoKernelHasIsNamed) {
  FactsDevice device("cuda", true, false);
  device.abilities_of().mods = kModBias;
  AttentionDesc d = good_desc();
  d.logits_soft_cap = 30;
  Error e = error_of([&] { choose_backend("unified", d, device); });
  EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
  EXPECT_NE(std::string(e.what()).find("lacks soft cap"), std::string::npos) << e.what();
  device.abilities_of().max_heads = {32, 32};
  e = error_of([&] { choose_backend("unified", good_desc(), device); });
  EXPECT_NE(std::string(e.what()).find("heads of 64/64 elements, target cuda takes at most 32/32"),
            std::string::npos)
      << e.what();
}

TEST(Backends, ExplicitChoiceIsTakenOrRefused) {
  EXPECT_STREQ(choose_backend("reference", good_desc(), FactsDevice("cpu", true, true)).backend->name(),
               "reference");
  Error e = error_of([] { choose_backend("reference", good_desc(), FactsDevice("cuda", true, false)); });
  EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
  EXPECT_NE(std::string(e.what()).find("cuda"), std::string::npos) << e.what();
  e = error_of([] { choose_backend("fastest", good_desc(), FactsDevice("cpu", true, true)); });
  EXPECT_EQ(e.kind(), ErrorKind::kNotFound);
  EXPECT_NE(std::string(e.what()).find("unified, reference"), std::string::npos) << e.what();
}

TEST(Backends, FeaturesAreWantedByTheDescsThatAskForThem) {
  AttentionDesc d = good_desc();
  const auto wants = [&](const std::string& name) {
    for (const AttentionFeature& f : attention_features()) {
      if (name == f.name) return f.wanted(d);
    }
    ADD_FAILURE() << "no feature " << name;
    return false;
  };
  EXPECT_TRUE(wants("causal"));
  EXPECT_FALSE(wants("sinks"));
  EXPECT_FALSE(wants("sliding window"));
  d.has_sinks = true;
  d.window = 3;
  d.causal = false;
  d.position_bias = PositionBias::kAlibiSqrt;
  EXPECT_TRUE(wants("sinks"));
  EXPECT_TRUE(wants("sliding window"));
  EXPECT_TRUE(wants("non-causal"));
  EXPECT_TRUE(wants("ALiBi-sqrt"));
  EXPECT_FALSE(wants("ALiBi"));
}

TEST(AttentionCost, CountsVisiblePairsAndWhatMustBeRead) {
  const AttentionDesc d = good_desc();
  const std::int32_t query_len[] = {1, 3, 0}, kv_len[] = {100, 5, 50};
  const LaunchCost cost = attention_cost(d, {query_len, kv_len});
  EXPECT_EQ(cost.flops, 2.0 * (64 + 64) * 8 * (100 + 3 + 4 + 5));
  EXPECT_EQ(cost.bytes, 2.0 * (64 + 64) * ((100 + 5) * 2 + (1 + 3) * 8));
}

TEST(AttentionCost, CountsThePairsOfAnyMask) {
  std::mt19937 random(5);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int i = 0; i < 500; ++i) {
    AttentionDesc d = good_desc();
    d.causal = below(2) == 0;
    d.window = below(2) == 0 ? 0 : 1 + below(60);
    const std::int32_t query_len[] = {below(50)}, kv_len[] = {(d.causal ? query_len[0] : 0) + below(70)};
    double pairs = 0;
    for (int q = 0; q < query_len[0]; ++q) {
      const VisibleKeys seen = reference_visible_keys(d, kv_len[0] - query_len[0] + q, kv_len[0]);
      pairs += seen.end - seen.begin;
    }
    EXPECT_EQ(attention_cost(d, {query_len, kv_len}).flops, 2.0 * (64 + 64) * 8 * pairs)
        << query_len[0] << " of " << kv_len[0] << ", window " << d.window;
  }
}

}  // namespace
}  // namespace quire
