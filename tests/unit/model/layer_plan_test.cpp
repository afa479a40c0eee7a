#include "model/layer_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "device/registry.h"
#include "model/decoder.h"
#include "model/shapes.h"
#include "targets/cpu/cpu_device.h"

namespace quire {
namespace {

std::unique_ptr<Device> open_cpu() {
  TargetRegistry registry;
  register_cpu_target(registry);
  return registry.open("cpu", {});
}

const GroupedAttention& attention_of(const ModelPlan& plan, std::size_t layer) {
  return std::get<GroupedAttention>(plan.layers[layer].attention);
}

TEST(LayerPlan, SaysWhatTheConfigurationSays) {
  const auto device = open_cpu();
  ModelConfig config = named_shape("tiny");
  config.window_lens = {0, 64, 0, 64};
  config.attention_soft_cap = 50;
  config.attention_scale = 0.0625;
  config.has_sinks = true;
  config.activation = Activation::kGeluTanh;
  config.norm_placement = NormPlacement::kBeforeAndBehind;
  const ModelPlan plan = plan_model(*device, config, 16, true);
  ASSERT_EQ(plan.layers.size(), 4u);
  for (std::size_t layer = 0; layer < 4; ++layer) {
    const AttentionDesc& desc = attention_of(plan, layer).desc;
    EXPECT_EQ(desc.window, layer % 2 == 0 ? 0 : 64);
    EXPECT_EQ(desc.logits_soft_cap, 50.0f);
    EXPECT_EQ(desc.sm_scale, 0.0625f);
    EXPECT_TRUE(desc.has_sinks && desc.batch_invariant && desc.causal);
    EXPECT_EQ(desc.position_bias, PositionBias::kNone);
    EXPECT_TRUE(attention_of(plan, layer).rotates);
    EXPECT_EQ(std::get<GatedMlp>(plan.layers[layer].mlp).activation, ActivationKind::kGeluTanh);
    EXPECT_EQ(plan.layers[layer].norms, NormPlacement::kBeforeAndBehind);
    EXPECT_EQ(plan.layers[layer].cache.group, static_cast<int>(layer % 2));
    EXPECT_EQ(plan.layers[layer].cache.lane, static_cast<int>(layer / 2));
  }
  config.position = PositionEncoding::kAlibi;
  config.attention_scale = 0;
  const ModelPlan alibi = plan_model(*device, config, 16, false);
  EXPECT_FALSE(attention_of(alibi, 0).rotates);
  EXPECT_EQ(attention_of(alibi, 0).desc.position_bias, PositionBias::kAlibi);
  EXPECT_EQ(attention_of(alibi, 0).desc.sm_scale, default_sm_scale(32));
}

// A page serves one group at a time: half the layers of a model that alternates.
TEST(LayerPlan, PageBytesAreThoseOfAGroup) {
  const auto device = open_cpu();
  ModelConfig config = named_shape("llama-1b");
  const std::size_t plain = page_bytes(*device, config, 16);
  EXPECT_EQ(plain, 16u * 16 * 2 * 8 * 64 * 2);  // layers, tokens, keys and values, heads, their size, bytes
  for (std::size_t layer = 0; layer < config.window_lens.size(); layer += 2) config.window_lens[layer] = 100;
  EXPECT_EQ(page_bytes(*device, config, 16), plain / 2);
}

TEST(LayerPlan, RefusesWhatNoKernelComputes) {
  const auto device = open_cpu();
  ModelConfig config = named_shape("tiny");
  config.attention_soft_cap = -1;
  EXPECT_THROW(plan_model(*device, config, 16, false), Error);
  config.attention_soft_cap = 0;
  EXPECT_THROW(plan_model(*device, config, 0, false), Error);
}

TEST(LayerPlan, AlibiSlopes) {
  EXPECT_EQ(alibi_slopes(8),
            (std::vector<float>{0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f, 0.0078125f, 0.00390625f}));
  const std::vector<float> twelve = alibi_slopes(12);  // 8, and every second of 16
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_FLOAT_EQ(twelve[8 + i],
                    static_cast<float>(std::exp2(-0.5 * (2.0 * static_cast<double>(i) + 1.0))));
}

}  // namespace
}  // namespace quire
