// What a model is made of: for each layer its parts, chosen from the configuration in this one place.
//
// A part is a value that says what is computed, and an alternative of AttentionPart or MlpPart. A family
// whose layers are built of known parts needs a row of kFamilies (files/model_config.cpp); another part is
// one more alternative, the function of DecoderModel that runs it, and its weights.
#pragma once

#include <variant>
#include <vector>

#include "attention/attention.h"
#include "files/model_config.h"
#include "model/cache_plan.h"

namespace quire {

// Heads of queries over groups of keys and values, in pages of the cache.
struct GroupedAttention {
  AttentionDesc desc;
  KvLayout layout;
  bool rotates = true;  // queries and keys, before they are cached
};
using AttentionPart = std::variant<GroupedAttention>;

// down(activation(gate(x)) * up(x))
struct GatedMlp {
  int dim = 0;  // of gate and up
  ActivationKind activation = ActivationKind::kSilu;
};
using MlpPart = std::variant<GatedMlp>;

struct LayerPlan {
  AttentionPart attention;
  MlpPart mlp;
  NormPlacement norms = NormPlacement::kBefore;
  CachePlan::Place cache;  // which group of the cache it belongs to, and where its part of a page is
};

struct ModelPlan {
  std::vector<LayerPlan> layers;
  CachePlan cache;
};

// Throws Error{kInvalidArgument} or Error{kUnsupported} for what no kernel computes.
ModelPlan plan_model(const Device& device, const ModelConfig& config, int page_size, bool batch_invariant);

// [num_heads], what a head's scores lose for each token of distance: powers of 2^(-8 / n) with n the heads
// rounded down to a power of two, the heads behind these the odd powers of its root (Press et al., "Train
// short, test long").
std::vector<float> alibi_slopes(int num_heads);

}  // namespace quire
