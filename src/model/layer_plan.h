// The parts of each layer of a model. This file is the only place where they are chosen from the
// configuration.
//
// A part is a value that says what is computed, and an alternative of AttentionPart or MlpPart. A family
// whose layers consist of existing parts only needs a row of kFamilies (files/model_config.cpp). A new part
// needs an alternative here, a function of DecoderModel that runs it, and its weights.
#pragma once

#include <variant>
#include <vector>

#include "attention/attention.h"
#include "files/model_config.h"
#include "model/cache_plan.h"

namespace quire {

// Attention in which groups of query heads share a KV head, with a paged cache.
struct GroupedAttention {
  AttentionDesc desc;
  KvLayout layout;
  bool rotates = true;  // rotary embedding of queries and keys, before keys are cached
};
using AttentionPart = std::variant<GroupedAttention>;

// down(activation(gate(x)) * up(x))
struct GatedMlp {
  int dim = 0;  // elements of gate(x), and of up(x)
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

// Throws Error{kInvalidArgument} or Error{kUnsupported} for a model that no kernel computes.
ModelPlan plan_model(const Device& device, const ModelConfig& config, int page_size, bool batch_invariant);

// [num_heads]: what is subtracted from a head's scores for each token of distance (Press et al., "Train
// short, test long"). With n = num_heads rounded down to a power of two, head i < n has 2^(-8 (i + 1) / n),
// and head n + i has 2^(-4 (2 i + 1) / n).
std::vector<float> alibi_slopes(int num_heads);

}  // namespace quire
