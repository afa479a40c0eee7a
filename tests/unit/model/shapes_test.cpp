// The shapes of well-known models against their published numbers of parameters.
#include "model/shapes.h"

#include <gtest/gtest.h>

#include <map>

#include "files/weight_names.h"
#include "unit/error_message.h"

namespace quire {
namespace {

double num_params(const ModelConfig& config) {
  double sum = 0;
  for (const WeightSpec& spec : weight_specs(config)) {
    double elems = 1;
    for (const std::int64_t extent : spec.shape) elems *= static_cast<double>(extent);
    sum += elems;
  }
  return sum;
}

TEST(Shapes, HaveThePublishedNumberOfParameters) {
  const std::map<std::string, double> billions = {
      {"qwen3-0.6b", 0.596}, {"llama-1b", 1.236}, {"llama-3b", 3.213}, {"llama-8b", 8.030}};
  for (const auto& [name, expected] : billions)
    EXPECT_NEAR(num_params(named_shape(name)) / 1e9, expected, 0.0015 * expected) << name;
}

TEST(Shapes, AreAllConsistent) {
  ASSERT_GE(shape_names().size(), 5u);
  for (const std::string& name : shape_names()) {
    const ModelConfig config = named_shape(name);
    EXPECT_EQ(config.num_qo_heads % config.num_kv_heads, 0) << name;
    EXPECT_EQ(config.head_dim % 2, 0) << name;
    EXPECT_EQ(config.window_lens, std::vector<int>(static_cast<std::size_t>(config.num_layers), 0)) << name;
    EXPECT_EQ(config.dtype, DType::kBF16) << name;
  }
}

TEST(Shapes, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  const std::string message = message_of([] { named_shape("llama-9b"); }, ErrorKind::kNotFound);
  for (const std::string& name : shape_names()) EXPECT_NE(message.find(name), std::string::npos) << message;
  EXPECT_NE(message.find("llama-9b"), std::string::npos);
}

}  // namespace
}  // namespace quire
