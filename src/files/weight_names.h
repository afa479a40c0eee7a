// Which tensors a model has, what they are called and how they are shaped: a table, so that the loader is one
// loop and a new family costs rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files/model_config.h"
#include "files/weights.h"

namespace quire {

// clang-format off
enum class WeightRole : std::uint8_t {
  // of the whole model
  kEmbedding,  // [vocab_size, hidden_dim]
  kFinalNorm,  // [hidden_dim]
  kLmHead,     // [vocab_size, hidden_dim]; not listed where the embedding serves as head
  // of one layer; matrices are [out, in], a bias is [out] of its matrix
  kAttentionNorm, kMlpNorm,         // [hidden_dim], before attention and MLP
  kAttentionOutNorm, kMlpOutNorm,   // [hidden_dim], behind them
  kQProj,                           // [num_qo_heads * head_dim, hidden_dim]
  kKProj, kVProj,                   // [num_kv_heads * head_dim, hidden_dim]
  kOProj,                           // [hidden_dim, num_qo_heads * head_dim]
  kQBias, kKBias, kVBias, kOBias,
  kQNorm, kKNorm,                   // [head_dim]
  kSinks,                           // [num_qo_heads]
  kGateProj, kUpProj,               // [intermediate_dim, hidden_dim]
  kDownProj,                        // [hidden_dim, intermediate_dim]
  kGateBias, kUpBias, kDownBias,
};
// clang-format on

struct WeightSpec {
  WeightRole role;
  int layer;  // -1 for tensors of the whole model
  std::string name;
  std::vector<std::int64_t> shape;
};

// Every tensor that a model of this configuration must have: those of the whole model, then layer by layer.
std::vector<WeightSpec> weight_specs(const ModelConfig& config);

// Call after the tensors of weight_specs() were taken. Throws Error{kCorruptFile} when tensors are left over,
// other than those that files are known to carry for nothing (rotary_emb.inv_freq, a copy of the embedding as
// lm_head).
void check_no_surplus(const Weights& weights, const ModelConfig& config);

}  // namespace quire
