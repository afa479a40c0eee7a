#include "files/model_config.h"

#include <gtest/gtest.h>

#include "files/fields.h"
#include "model_folder.h"

namespace quire {
namespace {

const std::filesystem::path kGoldens = std::filesystem::path(QUIRE_SOURCE_DIR) / "tests/golden/models";

// A small valid configuration with some fields replaced; a field set to "absent" is left out.
std::string config_text(const std::string& changes = "{}",
                        const std::string& architecture = "LlamaForCausalLM") {
  Json json = {{"hidden_size", 64},
               {"num_hidden_layers", 3},
               {"num_attention_heads", 4},
               {"num_key_value_heads", 2},
               {"vocab_size", 100},
               {"intermediate_size", 96},
               {"max_position_embeddings", 512}};
  json["architectures"] = {architecture};
  const Json changed = Json::parse(changes);
  for (const auto& [key, value] : changed.items()) {
    if (value == Json("absent")) {
      json.erase(key);
    } else {
      json[key] = value;
    }
  }
  return json.dump();
}

ModelConfig parse(const std::string& changes = "{}", const std::string& architecture = "LlamaForCausalLM") {
  return parse_model_config(config_text(changes, architecture), "c.json");
}

TEST(ModelConfig, Llama) {
  const ModelConfig model =
      parse(R"({"attention_bias": true, "mlp_bias": true, "sliding_window": 5, "dtype": "bfloat16",
      "hidden_act": "gelu_new", "rms_norm_eps": 1e-5, "tie_word_embeddings": true})");
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model.head_dim, 16);
  EXPECT_EQ(model.dtype, DType::kBF16);
  EXPECT_EQ(model.activation, Activation::kGeluTanh);
  EXPECT_EQ(model.rms_norm_eps, 1e-5);
  EXPECT_TRUE(model.qkv_bias && model.o_bias && model.mlp_bias && model.tie_word_embeddings);
  EXPECT_FALSE(model.qk_norm);
  EXPECT_EQ(model.window_lens, (std::vector<int>{0, 0, 0}));
}

TEST(ModelConfig, Defaults) {
  const ModelConfig model = parse_model_config(
      R"({"model_type":"llama","hidden_size":64,"num_hidden_layers":1,"num_attention_heads":4,"vocab_size":9,"intermediate_size":8})",
      "c.json");
  EXPECT_EQ(model.num_kv_heads, 4);
  EXPECT_EQ(model.max_position, 2048);
  EXPECT_EQ(model.dtype, DType::kF32);
  EXPECT_EQ(model.rms_norm_eps, 1e-6);
  EXPECT_EQ(model.rope.theta, 10000.0);
  EXPECT_FALSE(model.qkv_bias || model.o_bias || model.mlp_bias || model.tie_word_embeddings);
}

TEST(ModelConfig, MistralWindow) {
  const std::string name = "MistralForCausalLM";
  EXPECT_EQ(parse(R"({"sliding_window": 7})", name).window_lens, (std::vector<int>{7, 7, 7}));
  EXPECT_EQ(parse(R"({"sliding_window": null})", name).window_lens, (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(parse("{}", name).window_lens, (std::vector<int>{4096, 4096, 4096}));
  EXPECT_FALSE(parse(R"({"attention_bias": true})", name).qkv_bias);
}

TEST(ModelConfig, Qwen2) {
  const std::string name = "Qwen2ForCausalLM";
  const ModelConfig plain = parse(R"({"sliding_window": 7, "max_window_layers": 1})", name);
  EXPECT_EQ(plain.window_lens, (std::vector<int>{0, 0, 0}));  // use_sliding_window is false
  EXPECT_TRUE(plain.qkv_bias);
  EXPECT_FALSE(plain.o_bias);
  const std::string wanted = R"({"use_sliding_window": true, "sliding_window": 7, )";
  EXPECT_EQ(parse(wanted + R"("max_window_layers": 1})", name).window_lens, (std::vector<int>{0, 7, 7}));
  EXPECT_EQ(parse(wanted + R"("max_window_layers": 9})", name).window_lens, (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(
      parse(wanted + R"("layer_types": ["sliding_attention", "full_attention", "sliding_attention"]})", name)
          .window_lens,
      (std::vector<int>{7, 0, 7}));
}

TEST(ModelConfig, Qwen3) {
  const ModelConfig model = parse("{}", "Qwen3ForCausalLM");
  EXPECT_TRUE(model.qk_norm);
  EXPECT_FALSE(model.qkv_bias);
  EXPECT_EQ(model.head_dim, 128);
  EXPECT_EQ(parse(R"({"head_dim": 32})", "Qwen3ForCausalLM").head_dim, 32);
}

TEST(ModelConfig, Gemma2) {
  const std::string name = "Gemma2ForCausalLM";
  const ModelConfig plain = parse(R"({"num_key_value_heads": "absent", "num_attention_heads": 8})", name);
  EXPECT_EQ(plain.norm_placement, NormPlacement::kBeforeAndBehind);
  EXPECT_TRUE(plain.norm_adds_one && plain.scales_embedding && plain.tie_word_embeddings);
  EXPECT_EQ(plain.activation, Activation::kGeluTanh);
  EXPECT_EQ(plain.head_dim, 256);
  EXPECT_EQ(plain.num_kv_heads, 4);
  EXPECT_EQ(plain.attention_soft_cap, 50.0);
  EXPECT_EQ(plain.logits_soft_cap, 30.0);
  EXPECT_EQ(plain.attention_scale, 0.0625);
  EXPECT_EQ(plain.window_lens, (std::vector<int>{4096, 0, 4096}));
  const ModelConfig changed =
      parse(R"({"attn_logit_softcapping": null, "final_logit_softcapping": 8, "sliding_window": 5,
      "query_pre_attn_scalar": 64, "tie_word_embeddings": false, "hidden_activation": "silu",
      "layer_types": ["full_attention", "sliding_attention", "full_attention"]})",
            name);
  EXPECT_EQ(changed.attention_soft_cap, 0.0);
  EXPECT_EQ(changed.logits_soft_cap, 8.0);
  EXPECT_EQ(changed.attention_scale, 0.125);
  EXPECT_FALSE(changed.tie_word_embeddings);
  EXPECT_EQ(changed.activation, Activation::kSilu);
  EXPECT_EQ(changed.window_lens, (std::vector<int>{0, 5, 0}));
  const ModelConfig llama =
      parse(R"({"attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 3})");  // no fields of the family
  EXPECT_EQ(llama.attention_soft_cap, 0.0);
  EXPECT_EQ(llama.attention_scale, 0.0);
  EXPECT_EQ(llama.norm_placement, NormPlacement::kBefore);
}

TEST(ModelConfig, GoldenModels) {
  EXPECT_EQ(load_model_config(kGoldens / "mistral_window").window_lens, (std::vector<int>{13, 13, 13}));
  EXPECT_EQ(load_model_config(kGoldens / "mistral_window").head_dim, 12);
  EXPECT_EQ(load_model_config(kGoldens / "qwen2_window").window_lens, (std::vector<int>{0, 17, 17}));
  EXPECT_EQ(load_model_config(kGoldens / "llama_linear_rope_f16").dtype, DType::kF16);
  EXPECT_TRUE(load_model_config(kGoldens / "qwen3_sharded").tie_word_embeddings);
  const ModelConfig bias = load_model_config(kGoldens / "llama_yarn_bias");
  EXPECT_TRUE(bias.qkv_bias && bias.o_bias && bias.mlp_bias);
  EXPECT_EQ(bias.activation, Activation::kGeluTanh);
}

TEST(ModelConfig, MissingFolder) {
  expect_error(ErrorKind::kNotFound, {"nowhere/config.json: cannot open"},
               [] { load_model_config("nowhere"); });
}

struct ConfigCase {
  const char* name;
  std::string changes;
  std::string fragment;
  ErrorKind kind = ErrorKind::kCorruptFile;
  std::string architecture = "LlamaForCausalLM";
};

class ConfigRejects : public testing::TestWithParam<ConfigCase> {};
TEST_P(ConfigRejects, WithFileFieldAndValue) {
  expect_error(GetParam().kind, {"c.json: ", GetParam().fragment},
               [] { parse(GetParam().changes, GetParam().architecture); });
}
const ErrorKind kUnsupported = ErrorKind::kUnsupported, kCorrupt = ErrorKind::kCorruptFile;
const char* const kMistral = "MistralForCausalLM";
const char* const kQwen = "Qwen2ForCausalLM";
const char* const kGemma = "Gemma2ForCausalLM";
INSTANTIATE_TEST_SUITE_P(
    Unsupported, ConfigRejects,
    testing::Values(
        ConfigCase{
            "Architecture", R"({"architectures":["GPT2LMHeadModel"]})",
            R"("architectures" is "GPT2LMHeadModel", supported: LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Gemma2ForCausalLM)",
            kUnsupported},
        ConfigCase{"ModelType", R"({"architectures":null,"model_type":"gpt2"})",
                   R"("model_type" is "gpt2", supported: llama,)", kUnsupported},
        ConfigCase{"Activation", R"({"hidden_act":"relu"})", R"("hidden_act" is "relu", supported: silu)",
                   kUnsupported},
        ConfigCase{"Quantised", R"({"quantization_config":{"quant_method":"awq"}})",
                   R"("quantization_config" is "awq")", kUnsupported},
        ConfigCase{"Dtype", R"({"torch_dtype":"float8_e4m3fn"})", R"("torch_dtype" is "float8_e4m3fn")",
                   kUnsupported},
        ConfigCase{"Rope", R"({"rope_scaling":{"rope_type":"su"}})", R"("rope_scaling.rope_type" is "su")",
                   kUnsupported},
        ConfigCase{"HeadDimOdd", R"({"head_dim":15})", "head_dim is 15, supported: even sizes from 8 to 512",
                   kUnsupported},
        ConfigCase{"HeadDimBig", R"({"head_dim":514})", "head_dim is 514", kUnsupported},
        ConfigCase{"HeadDimSmall", R"({"hidden_size":16})", "head_dim is 4", kUnsupported},
        ConfigCase{"LayerType", R"({"layer_types":["linear_attention","full_attention","full_attention"]})",
                   R"("layer_types" is "linear_attention")", kUnsupported, kQwen},
        ConfigCase{"GemmaActivation", R"({"hidden_activation":"relu"})",
                   R"("hidden_activation" is "relu", supported: silu)", kUnsupported, kGemma},
        ConfigCase{"Bidirectional", R"({"use_bidirectional_attention":true})",
                   R"("use_bidirectional_attention" is "true", supported: false)", kUnsupported, kGemma}),
    kCaseName);
INSTANTIATE_TEST_SUITE_P(
    Corrupt, ConfigRejects,
    testing::Values(
        ConfigCase{"NoArchitecture", R"({"architectures":"absent"})", R"("architectures" is missing)"},
        ConfigCase{"ArchitecturesEmpty", R"({"architectures":[]})",
                   R"("architectures" is an array, expected)"},
        ConfigCase{"ArchitecturesNumber", R"({"architectures":[1]})", "an array that starts with a name"},
        ConfigCase{"NoHidden", R"({"hidden_size":"absent"})", R"("hidden_size" is missing)"},
        ConfigCase{"LayersZero", R"({"num_hidden_layers":0})",
                   R"("num_hidden_layers" is 0, expected an integer from 1 to 4096)"},
        ConfigCase{"LayersHuge", R"({"num_hidden_layers":1000000000})",
                   R"("num_hidden_layers" is 1000000000)"},
        ConfigCase{"HeadsZero", R"({"num_attention_heads":0})", R"("num_attention_heads" is 0)"},
        ConfigCase{"HeadsNegative", R"({"num_attention_heads":-4})", R"("num_attention_heads" is -4)"},
        ConfigCase{"HeadsText", R"({"num_attention_heads":"4"})", R"("num_attention_heads" is "4")"},
        ConfigCase{"HeadsTrue", R"({"num_attention_heads":true})", R"("num_attention_heads" is true)"},
        ConfigCase{"HeadsFloat", R"({"num_attention_heads":4.0})", R"("num_attention_heads" is 4.0)"},
        ConfigCase{"HeadsWrap", R"({"num_attention_heads":18446744073709551612})",
                   R"("num_attention_heads" is 18446744073709551612)"},
        ConfigCase{"HeadsList", R"({"num_attention_heads":[4]})", R"("num_attention_heads" is an array)"},
        ConfigCase{"KvHeadsDivide", R"({"num_key_value_heads":3})",
                   R"("num_key_value_heads" is 3, expected a divisor of num_attention_heads 4)"},
        ConfigCase{"HiddenDivide", R"({"hidden_size":66})", R"("hidden_size" is 66, expected a multiple)"},
        ConfigCase{"HiddenHuge", R"({"hidden_size":2147483647})", R"("hidden_size" is 2147483647)"},
        ConfigCase{"HeadDimZero", R"({"head_dim":0})", R"("head_dim" is 0)"},
        ConfigCase{"VocabZero", R"({"vocab_size":0})", R"("vocab_size" is 0)"},
        ConfigCase{"EpsNegative", R"({"rms_norm_eps":-1e-6})", R"("rms_norm_eps" is -1e-06)"},
        ConfigCase{"EpsZero", R"({"rms_norm_eps":0})", R"("rms_norm_eps" is 0)"},
        ConfigCase{"TiedText", R"({"tie_word_embeddings":"yes"})",
                   R"("tie_word_embeddings" is "yes", expected true or false)"},
        ConfigCase{"PositionsZero", R"({"max_position_embeddings":0})", R"("max_position_embeddings" is 0)"},
        ConfigCase{"WindowZero", R"({"sliding_window":0})", R"("sliding_window" is 0)", kCorrupt, kMistral},
        ConfigCase{"LayerTypesShort", R"({"layer_types":["full_attention"]})",
                   "an array of num_hidden_layers 3 names", kCorrupt, kQwen},
        ConfigCase{"LayerTypesNumbers", R"({"layer_types":[1,2,3]})", R"("layer_types" is 1)", kCorrupt,
                   kQwen},
        ConfigCase{"SlidingWithoutWindow",
                   R"({"layer_types":["sliding_attention","full_attention","full_attention"]})",
                   "the model has no window", kCorrupt, kQwen},
        ConfigCase{"SoftCapZero", R"({"attn_logit_softcapping":0})", R"("attn_logit_softcapping" is 0)",
                   kCorrupt, kGemma},
        ConfigCase{"LogitsCapText", R"({"final_logit_softcapping":"x"})",
                   R"("final_logit_softcapping" is "x")", kCorrupt, kGemma},
        ConfigCase{"ScoreDimNegative", R"({"query_pre_attn_scalar":-256})",
                   R"("query_pre_attn_scalar" is -256)", kCorrupt, kGemma}),
    kCaseName);

TEST(ModelConfig, RefusesWhatIsNoObject) {
  for (const char* text : {"[]", "null", "3", ""}) {
    expect_error(kCorrupt, {"c.json: "}, [text] { parse_model_config(text, "c.json"); });
  }
  expect_error(kCorrupt, {"deeper than 32"}, [] { parse_model_config(std::string(1000, '['), "c.json"); });
  expect_error(kCorrupt, {"c.json: "}, [] { parse_model_config(R"({"rope_theta": NaN})", "c.json"); });
  expect_error(kCorrupt, {"c.json: "}, [] { parse_model_config(R"({"rope_theta": 1e400})", "c.json"); });
}

}  // namespace
}  // namespace quire
