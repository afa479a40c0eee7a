// Where every element of a model's tensors is after loading, and what has been done to it.
#include "model/model_weights.h"

#include <gtest/gtest.h>

#include "unit/model/device_arrays.h"
#include "unit/model/reference_decoder.h"

namespace quire {
namespace {

// Sizes with which the stacked matrices have parts that are no whole groups of 16 outputs.
ModelConfig odd_config() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.dtype = DType::kBF16;
  config.num_layers = 2;
  config.hidden_dim = 21;
  config.intermediate_dim = 25;
  config.num_qo_heads = 3;
  config.num_kv_heads = 1;
  config.head_dim = 10;
  config.vocab_size = 37;
  config.max_position = 64;
  config.window_lens = {0, 0};
  return config;
}

class ModelWeightsTest : public testing::Test {
 protected:
  ModelWeights load(const ModelConfig& config) {
    HashedSource source;
    return load_model_weights(*device_, config, source);
  }

  static const WeightSpec& spec_of(const std::vector<WeightSpec>& specs, int layer, WeightRole role) {
    for (const WeightSpec& spec : specs) {
      if (spec.layer == layer && spec.role == role) return spec;
    }
    throw std::logic_error("no such tensor");
  }

  // A vector, or rows, with each element changed and rounded to `dtype`.
  void expect_plain(
      const ModelConfig& config, const Buffer* buffer, int layer, const std::vector<WeightRole>& roles,
      DType dtype, double (*change)(double) = [](double x) { return x; }) {
    ASSERT_NE(buffer, nullptr);
    const std::vector<WeightSpec> specs = weight_specs(config);
    std::vector<double> expected;
    for (const WeightRole role : roles) {
      const WeightSpec& spec = spec_of(specs, layer, role);
      std::int64_t num = 1;
      for (const std::int64_t extent : spec.shape) num *= extent;
      for (std::int64_t i = 0; i < num; ++i)
        expected.push_back(rounded_to(dtype, static_cast<float>(change(HashedSource::value(spec, i)))));
    }
    EXPECT_EQ(from_device(*device_, *buffer, dtype), expected) << "layer " << layer;
  }

  // Matrices one below the other, in the device's layout.
  void expect_packed(const ModelConfig& config, const PackedLinear& linear, int layer,
                     const std::vector<WeightRole>& roles) {
    const std::vector<WeightSpec> specs = weight_specs(config);
    const auto layout = device_->weight_layout({config.dtype}, linear.out_dim, linear.in_dim);
    ASSERT_EQ(linear.weight->bytes(), static_cast<std::size_t>(layout->elems()) * dtype_bytes(config.dtype));
    const std::vector<double> packed = from_device(*device_, *linear.weight, config.dtype);
    int first = 0;
    for (const WeightRole role : roles) {
      const WeightSpec& spec = spec_of(specs, layer, role);
      ASSERT_EQ(spec.shape[1], linear.in_dim);
      for (int n = 0; n < static_cast<int>(spec.shape[0]); ++n) {
        for (int k = 0; k < linear.in_dim; ++k) {
          const double value = HashedSource::value(spec, std::int64_t{n} * linear.in_dim + k);
          ASSERT_EQ(packed[static_cast<std::size_t>(layout->offset(first + n, k))],
                    rounded_to(config.dtype, static_cast<float>(value)))
              << spec.name << " [" << n << ", " << k << "]";
        }
      }
      first += static_cast<int>(spec.shape[0]);
    }
    EXPECT_EQ(first, linear.out_dim);
  }

  const std::unique_ptr<Device> device_ = open_cpu();
};

TEST_F(ModelWeightsTest, StacksAndPacksMatrices) {
  const ModelConfig config = odd_config();
  const ModelWeights weights = load(config);
  ASSERT_EQ(weights.layers.size(), 2u);
  for (int layer = 0; layer < 2; ++layer) {
    const LayerWeights& w = weights.layers[static_cast<std::size_t>(layer)];
    expect_packed(config, w.qkv, layer, {WeightRole::kQProj, WeightRole::kKProj, WeightRole::kVProj});
    expect_packed(config, w.o, layer, {WeightRole::kOProj});
    expect_packed(config, w.gate_up, layer, {WeightRole::kGateProj, WeightRole::kUpProj});
    expect_packed(config, w.down, layer, {WeightRole::kDownProj});
    expect_plain(config, w.attention_norm.get(), layer, {WeightRole::kAttentionNorm}, config.dtype);
    expect_plain(config, w.mlp_norm.get(), layer, {WeightRole::kMlpNorm}, config.dtype);
    for (const Buffer* absent :
         {w.qkv.bias.get(), w.o.bias.get(), w.gate_up.bias.get(), w.down.bias.get(), w.q_norm.get(),
          w.k_norm.get(), w.sinks.get(), w.attention_out_norm.get(), w.mlp_out_norm.get()})
      EXPECT_EQ(absent, nullptr);
  }
  expect_plain(config, weights.embedding.get(), -1, {WeightRole::kEmbedding}, config.dtype);
  expect_plain(config, weights.final_norm.get(), -1, {WeightRole::kFinalNorm}, config.dtype);
  expect_packed(config, weights.lm_head, -1, {WeightRole::kLmHead});
}

TEST_F(ModelWeightsTest, LoadsEverythingThatAModelMayHave) {
  ModelConfig config = odd_config();
  config.qkv_bias = config.o_bias = config.mlp_bias = config.qk_norm = config.has_sinks = true;
  config.norm_placement = NormPlacement::kBeforeAndBehind;
  const ModelWeights weights = load(config);
  for (int layer = 0; layer < 2; ++layer) {
    const LayerWeights& w = weights.layers[static_cast<std::size_t>(layer)];
    expect_plain(config, w.qkv.bias.get(), layer,
                 {WeightRole::kQBias, WeightRole::kKBias, WeightRole::kVBias}, config.dtype);
    expect_plain(config, w.o.bias.get(), layer, {WeightRole::kOBias}, config.dtype);
    expect_plain(config, w.gate_up.bias.get(), layer, {WeightRole::kGateBias, WeightRole::kUpBias},
                 config.dtype);
    expect_plain(config, w.down.bias.get(), layer, {WeightRole::kDownBias}, config.dtype);
    expect_plain(config, w.q_norm.get(), layer, {WeightRole::kQNorm}, config.dtype);
    expect_plain(config, w.k_norm.get(), layer, {WeightRole::kKNorm}, config.dtype);
    expect_plain(config, w.attention_out_norm.get(), layer, {WeightRole::kAttentionOutNorm}, config.dtype);
    expect_plain(config, w.mlp_out_norm.get(), layer, {WeightRole::kMlpOutNorm}, config.dtype);
    expect_plain(config, w.sinks.get(), layer, {WeightRole::kSinks}, DType::kF32);
  }
}

TEST_F(ModelWeightsTest, NormsThatAddOneAndScaledEmbeddingsAreComputedOnce) {
  ModelConfig config = odd_config();
  config.norm_adds_one = config.scales_embedding = config.tie_word_embeddings = config.qk_norm = true;
  const ModelWeights weights = load(config);
  const auto plus_one = [](double x) { return 1.0 + x; };
  expect_plain(config, weights.final_norm.get(), -1, {WeightRole::kFinalNorm}, config.dtype, plus_one);
  expect_plain(config, weights.layers[1].q_norm.get(), 1, {WeightRole::kQNorm}, config.dtype, plus_one);
  // sqrt(21) = 4.58..., in bf16 4.59375.
  expect_plain(config, weights.embedding.get(), -1, {WeightRole::kEmbedding}, config.dtype,
               [](double x) { return 4.59375 * x; });
  expect_packed(config, weights.lm_head, -1, {WeightRole::kEmbedding});
}

TEST_F(ModelWeightsTest, ProgressGoesUpToOne) {
  HashedSource source;
  double last = 0;
  int num_calls = 0;
  load_model_weights(*device_, odd_config(), source, [&](double fraction, const char* note) {
    EXPECT_GE(fraction, last);
    EXPECT_NE(std::string(note), "");
    last = fraction;
    ++num_calls;
  });
  EXPECT_EQ(last, 1.0);
  EXPECT_GT(num_calls, 10);
}

}  // namespace
}  // namespace quire
