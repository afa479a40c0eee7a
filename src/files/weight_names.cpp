#include "files/weight_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "files/quote.h"

namespace quire {
namespace {

constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
constexpr const char* kLmHeadName = "lm_head.weight";

enum class Extent { kNone, kVocab, kHidden, kIntermediate, kQoHeads, kKvHeads, kHeadDim, kNumQoHeads };
enum class Need { kAlways, kUntied, kQkvBias, kOBias, kMlpBias, kQkNorm, kNormsBefore, kNormsBehind, kSinks };

struct WeightRow {
  WeightRole role;
  const char* name;  // of a layer's tensor: behind "model.layers.N."
  Extent rows, cols;
  Need need = Need::kAlways;
};

// All families share their names. What is called post_attention_layernorm stands before the MLP in one
// placement of the norms, and behind attention in the other.
constexpr std::array<WeightRow, 3> kModelRows = {{
    {WeightRole::kEmbedding, kEmbeddingName, Extent::kVocab, Extent::kHidden},
    {WeightRole::kFinalNorm, "model.norm.weight", Extent::kHidden, Extent::kNone},
    {WeightRole::kLmHead, kLmHeadName, Extent::kVocab, Extent::kHidden, Need::kUntied},
}};

constexpr std::array<WeightRow, 22> kLayerRows = {{
    {WeightRole::kAttentionNorm, "input_layernorm.weight", Extent::kHidden, Extent::kNone},
    {WeightRole::kQProj, "self_attn.q_proj.weight", Extent::kQoHeads, Extent::kHidden},
    {WeightRole::kKProj, "self_attn.k_proj.weight", Extent::kKvHeads, Extent::kHidden},
    {WeightRole::kVProj, "self_attn.v_proj.weight", Extent::kKvHeads, Extent::kHidden},
    {WeightRole::kQBias, "self_attn.q_proj.bias", Extent::kQoHeads, Extent::kNone, Need::kQkvBias},
    {WeightRole::kKBias, "self_attn.k_proj.bias", Extent::kKvHeads, Extent::kNone, Need::kQkvBias},
    {WeightRole::kVBias, "self_attn.v_proj.bias", Extent::kKvHeads, Extent::kNone, Need::kQkvBias},
    {WeightRole::kQNorm, "self_attn.q_norm.weight", Extent::kHeadDim, Extent::kNone, Need::kQkNorm},
    {WeightRole::kKNorm, "self_attn.k_norm.weight", Extent::kHeadDim, Extent::kNone, Need::kQkNorm},
    {WeightRole::kOProj, "self_attn.o_proj.weight", Extent::kHidden, Extent::kQoHeads},
    {WeightRole::kOBias, "self_attn.o_proj.bias", Extent::kHidden, Extent::kNone, Need::kOBias},
    {WeightRole::kSinks, "self_attn.sinks", Extent::kNumQoHeads, Extent::kNone, Need::kSinks},
    {WeightRole::kAttentionOutNorm, "post_attention_layernorm.weight", Extent::kHidden, Extent::kNone,
     Need::kNormsBehind},
    {WeightRole::kMlpNorm, "post_attention_layernorm.weight", Extent::kHidden, Extent::kNone,
     Need::kNormsBefore},
    {WeightRole::kMlpNorm, "pre_feedforward_layernorm.weight", Extent::kHidden, Extent::kNone,
     Need::kNormsBehind},
    {WeightRole::kMlpOutNorm, "post_feedforward_layernorm.weight", Extent::kHidden, Extent::kNone,
     Need::kNormsBehind},
    {WeightRole::kGateProj, "mlp.gate_proj.weight", Extent::kIntermediate, Extent::kHidden},
    {WeightRole::kUpProj, "mlp.up_proj.weight", Extent::kIntermediate, Extent::kHidden},
    {WeightRole::kDownProj, "mlp.down_proj.weight", Extent::kHidden, Extent::kIntermediate},
    {WeightRole::kGateBias, "mlp.gate_proj.bias", Extent::kIntermediate, Extent::kNone, Need::kMlpBias},
    {WeightRole::kUpBias, "mlp.up_proj.bias", Extent::kIntermediate, Extent::kNone, Need::kMlpBias},
    {WeightRole::kDownBias, "mlp.down_proj.bias", Extent::kHidden, Extent::kNone, Need::kMlpBias},
}};

std::int64_t extent_of(const ModelConfig& config, Extent extent) {
  switch (extent) {
    case Extent::kNone:
      return 0;
    case Extent::kVocab:
      return config.vocab_size;
    case Extent::kHidden:
      return config.hidden_dim;
    case Extent::kIntermediate:
      return config.intermediate_dim;
    case Extent::kQoHeads:
      return std::int64_t{config.num_qo_heads} * config.head_dim;
    case Extent::kKvHeads:
      return std::int64_t{config.num_kv_heads} * config.head_dim;
    case Extent::kHeadDim:
      return config.head_dim;
    case Extent::kNumQoHeads:
      return config.num_qo_heads;
  }
  return 0;
}

bool is_needed(const ModelConfig& config, Need need) {
  switch (need) {
    case Need::kAlways:
      return true;
    case Need::kUntied:
      return !config.tie_word_embeddings;
    case Need::kQkvBias:
      return config.qkv_bias;
    case Need::kOBias:
      return config.o_bias;
    case Need::kMlpBias:
      return config.mlp_bias;
    case Need::kQkNorm:
      return config.qk_norm;
    case Need::kNormsBefore:
      return config.norm_placement == NormPlacement::kBefore;
    case Need::kNormsBehind:
      return config.norm_placement == NormPlacement::kBeforeAndBehind;
    case Need::kSinks:
      return config.has_sinks;
  }
  return false;
}

void add_spec(const ModelConfig& config, const WeightRow& row, int layer, std::vector<WeightSpec>& specs) {
  if (!is_needed(config, row.need)) return;
  std::vector<std::int64_t> shape = {extent_of(config, row.rows)};
  if (row.cols != Extent::kNone) shape.push_back(extent_of(config, row.cols));
  std::string name = layer < 0 ? row.name : fmt::format("model.layers.{}.{}", layer, row.name);
  specs.push_back({row.role, layer, std::move(name), std::move(shape)});
}

bool same_tensor(const TensorFile& a, const TensorFile& b) {
  return a.type == b.type && a.shape == b.shape && std::ranges::equal(a.bytes, b.bytes);
}

// A tied model's head, written out, is ignorable only if it is the embedding: otherwise file and config
// contradict.
bool is_embedding_copy(const Weights& weights, const std::string& name) {
  const TensorFile *head = weights.find(name), *embedding = weights.find(kEmbeddingName);
  QUIRE_CHECK_KIND(kCorruptFile, head && embedding && same_tensor(*head, *embedding),
                   "{}: tensor {} differs from {} although tie_word_embeddings is true", weights.origin(),
                   quote(name), quote(kEmbeddingName));
  return true;
}

}  // namespace

std::vector<WeightSpec> weight_specs(const ModelConfig& config) {
  std::vector<WeightSpec> specs;
  for (const WeightRow& row : kModelRows) add_spec(config, row, -1, specs);
  for (int layer = 0; layer < config.num_layers; ++layer) {
    for (const WeightRow& row : kLayerRows) add_spec(config, row, layer, specs);
  }
  return specs;
}

void check_no_surplus(const Weights& weights, const ModelConfig& config) {
  std::vector<std::string> surplus = weights.surplus();
  std::erase_if(surplus, [&](const std::string& name) {
    if (name.ends_with(".rotary_emb.inv_freq"))
      return true;  // older files store what the configuration implies
    return name == kLmHeadName && config.tie_word_embeddings && is_embedding_copy(weights, name);
  });
  QUIRE_CHECK_KIND(kCorruptFile, surplus.empty(),
                   "{}: {} tensors that a {} of {} layers does not have, the first is {}", weights.origin(),
                   surplus.size(), config.architecture, config.num_layers, quote(surplus.front()));
}

}  // namespace quire
