#include "files/weight_names.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model_folder.h"

namespace quire {
namespace {

const std::filesystem::path kGoldens = std::filesystem::path(QUIRE_SOURCE_DIR) / "tests/golden/models";

class GoldenModel : public testing::TestWithParam<std::string> {};

// The table names exactly the tensors, with exactly the shapes, that Hugging Face writes for the
// configuration.
TEST_P(GoldenModel, TableCoversTheFilesExactly) {
  const ModelConfig config = load_model_config(kGoldens / GetParam());
  Weights weights = Weights::open(kGoldens / GetParam());
  const auto specs = weight_specs(config);
  for (const WeightSpec& spec : specs)
    EXPECT_EQ(compute_dtype(weights.get(spec.name, spec.shape).type), config.dtype);
  EXPECT_EQ(specs.size(), weights.num_tensors());
  EXPECT_TRUE(weights.surplus().empty());
  check_no_surplus(weights, config);
}
INSTANTIATE_TEST_SUITE_P(All, GoldenModel,
                         testing::Values("llama", "llama_llama3_rope", "llama_linear_rope_f16",
                                         "llama_yarn_bias", "llama_bf16", "mistral_window", "qwen2_window",
                                         "qwen3_sharded", "qwen3_yarn_bf16", "gemma2"),
                         [](const auto& test) { return test.param; });

TEST(WeightNames, RolesLayersAndOrder) {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_dim = 6, config.intermediate_dim = 10, config.vocab_size = 100;
  config.num_qo_heads = 4, config.num_kv_heads = 2, config.head_dim = 8;
  config.qkv_bias = config.qk_norm = true;
  const auto specs = weight_specs(config);
  EXPECT_EQ(specs.size(), 3u + 2u * (9 + 3 + 2));
  EXPECT_EQ(specs[0].role, WeightRole::kEmbedding);
  EXPECT_EQ(specs[2].role, WeightRole::kLmHead);
  const auto find = [&specs](WeightRole role, int layer) {
    return *std::find_if(specs.begin(), specs.end(),
                         [&](const WeightSpec& spec) { return spec.role == role && spec.layer == layer; });
  };
  EXPECT_EQ(find(WeightRole::kOProj, 1).name, "model.layers.1.self_attn.o_proj.weight");
  EXPECT_EQ(find(WeightRole::kOProj, 1).shape, (std::vector<std::int64_t>{6, 32}));
  EXPECT_EQ(find(WeightRole::kVBias, 0).shape, (std::vector<std::int64_t>{16}));
  EXPECT_EQ(find(WeightRole::kDownProj, 0).shape, (std::vector<std::int64_t>{6, 10}));
  config.tie_word_embeddings = true;
  EXPECT_EQ(weight_specs(config).size(), specs.size() - 1);
}

// One name for two roles: which it is follows from where the norms stand.
TEST(WeightNames, PlacesOfNorms) {
  ModelConfig config;
  config.num_layers = 1;
  config.hidden_dim = 6, config.intermediate_dim = 10, config.vocab_size = 100;
  config.num_qo_heads = 4, config.num_kv_heads = 2, config.head_dim = 8;
  const auto name_of = [&config](WeightRole role) -> std::string {
    for (const WeightSpec& spec : weight_specs(config)) {
      if (spec.role == role) return spec.name;
    }
    return "";
  };
  EXPECT_EQ(name_of(WeightRole::kMlpNorm), "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(name_of(WeightRole::kAttentionOutNorm), "");
  EXPECT_EQ(name_of(WeightRole::kSinks), "");
  config.norm_placement = NormPlacement::kBeforeAndBehind;
  config.has_sinks = true;
  EXPECT_EQ(name_of(WeightRole::kAttentionNorm), "model.layers.0.input_layernorm.weight");
  EXPECT_EQ(name_of(WeightRole::kAttentionOutNorm), "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(name_of(WeightRole::kMlpNorm), "model.layers.0.pre_feedforward_layernorm.weight");
  EXPECT_EQ(name_of(WeightRole::kMlpOutNorm), "model.layers.0.post_feedforward_layernorm.weight");
  EXPECT_EQ(name_of(WeightRole::kSinks), "model.layers.0.self_attn.sinks");
}

// A file of [2] U8 tensors; the values are the digits of `data`.
std::string tensors(std::initializer_list<std::string> names, const std::string& data) {
  std::string header;
  int offset = 0;
  for (const std::string& name : names) {
    header += (offset ? ",\"" : "{\"") + name + R"(":{"dtype":"U8","shape":[2],"data_offsets":[)" +
              std::to_string(offset) + "," + std::to_string(offset + 2) + "]}";
    offset += 2;
  }
  return safetensors_bytes(header + "}", data);
}

TEST(WeightNames, SurplusIsRefusedButKnownLeftovers) {
  const ModelFolder folder;
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.num_layers = 2;
  folder.write("model.safetensors", tensors({"model.layers.0.self_attn.rotary_emb.inv_freq"}, "12"));
  check_no_surplus(Weights::open(folder.path()), config);

  folder.write("model.safetensors", tensors({"model.layers.2.mlp.up_proj.weight"}, "12"));
  expect_error(
      ErrorKind::kCorruptFile,
      {"1 tensors that a LlamaForCausalLM of 2 layers does not have", "model.layers.2.mlp.up_proj.weight"},
      [&] { check_no_surplus(Weights::open(folder.path()), config); });

  config.tie_word_embeddings = true;
  Weights differing = [&] {
    folder.write("model.safetensors", tensors({"lm_head.weight", "model.embed_tokens.weight"}, "1234"));
    return Weights::open(folder.path());
  }();
  expect_error(ErrorKind::kCorruptFile, {"\"lm_head.weight\" differs from \"model.embed_tokens.weight\""},
               [&] { check_no_surplus(differing, config); });
}

TEST(WeightNames, TiedHeadMayBeWrittenOut) {
  const ModelFolder folder;
  const std::string entry = R"({"dtype":"F16","shape":[1],"data_offsets":)";
  folder.write("model.safetensors",
               safetensors_bytes("{\"lm_head.weight\":" + entry +
                                     "[0,2]},\"model.embed_tokens.weight\":" + entry + "[2,4]}}",
                                 "abab"));
  ModelConfig config;
  config.tie_word_embeddings = true;
  Weights weights = Weights::open(folder.path());
  weights.get("model.embed_tokens.weight", std::vector<std::int64_t>{1});
  check_no_surplus(weights, config);
  config.tie_word_embeddings = false;
  expect_error(ErrorKind::kCorruptFile, {"\"lm_head.weight\""}, [&] { check_no_surplus(weights, config); });
}

}  // namespace
}  // namespace quire
