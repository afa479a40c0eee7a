#include "model/layer_plan.h"

#include <bit>
#include <cmath>

namespace quire {
namespace {

AttentionDesc attention_desc(const ModelConfig& config, int page_size, bool batch_invariant, int window) {
  AttentionDesc desc;
  desc.num_qo_heads = config.num_qo_heads;
  desc.num_kv_heads = config.num_kv_heads;
  desc.head_dim_qk = desc.head_dim_vo = config.head_dim;
  desc.page_size = page_size;
  desc.dtype = config.dtype;
  desc.sm_scale = config.attention_scale > 0 ? static_cast<float>(config.attention_scale)
                                             : default_sm_scale(config.head_dim);
  desc.window = window;
  desc.logits_soft_cap = static_cast<float>(config.attention_soft_cap);
  desc.position_bias =
      config.position == PositionEncoding::kAlibi ? PositionBias::kAlibi : PositionBias::kNone;
  desc.has_sinks = config.has_sinks;
  desc.batch_invariant = batch_invariant;
  return desc;
}

ActivationKind kind_of(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return ActivationKind::kSilu;
    case Activation::kGelu:
      return ActivationKind::kGelu;
    case Activation::kGeluTanh:
      return ActivationKind::kGeluTanh;
  }
  return ActivationKind::kSilu;
}

}  // namespace

ModelPlan plan_model(const Device& device, const ModelConfig& config, int page_size, bool batch_invariant) {
  ModelPlan plan;
  std::vector<LayerCache> caches;
  for (const int window : config.window_lens) {
    const AttentionDesc desc = attention_desc(config, page_size, batch_invariant, window);
    const KvLayout layout = kv_layout(device, desc);
    caches.push_back({window, layout.page_bytes});
    LayerPlan& layer = plan.layers.emplace_back();
    layer.attention = GroupedAttention{desc, layout, config.position == PositionEncoding::kRope};
    layer.mlp = GatedMlp{config.intermediate_dim, kind_of(config.activation)};
    layer.norms = config.norm_placement;
  }
  plan.cache = plan_cache(caches);
  for (std::size_t i = 0; i < plan.layers.size(); ++i) plan.layers[i].cache = plan.cache.places[i];
  return plan;
}

std::vector<float> alibi_slopes(int num_heads) {
  const auto power = static_cast<int>(std::bit_floor(static_cast<unsigned>(num_heads)));
  std::vector<float> slopes;
  for (int head = 0; head < num_heads; ++head) {
    const double exponent = head < power ? head + 1.0 : head - power + 0.5;
    slopes.push_back(static_cast<float>(std::exp2(-8.0 * exponent / power)));
  }
  return slopes;
}

}  // namespace quire
