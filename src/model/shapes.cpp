#include "model/shapes.h"

#include "base/check.h"

namespace quire {
namespace {

struct Shape {
  const char* name;
  int num_layers, hidden_dim, intermediate_dim, num_qo_heads, num_kv_heads, head_dim, vocab_size;
  bool tied;
};

constexpr Shape kShapes[] = {
    {"tiny", 4, 256, 704, 8, 2, 32, 2048, true},
    {"qwen3-0.6b", 28, 1024, 3072, 16, 8, 128, 151936, true},
    {"llama-1b", 16, 2048, 8192, 32, 8, 64, 128256, true},
    {"llama-3b", 28, 3072, 8192, 24, 8, 128, 128256, true},
    {"llama-8b", 32, 4096, 14336, 32, 8, 128, 128256, false},
};

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

ModelConfig named_shape(const std::string& name) {
  for (const Shape& s : kShapes) {
    if (name != s.name) continue;
    ModelConfig config;
    config.architecture = "LlamaForCausalLM";
    config.dtype = DType::kBF16;
    config.num_layers = s.num_layers;
    config.hidden_dim = s.hidden_dim;
    config.intermediate_dim = s.intermediate_dim;
    config.num_qo_heads = s.num_qo_heads;
    config.num_kv_heads = s.num_kv_heads;
    config.head_dim = s.head_dim;
    config.vocab_size = s.vocab_size;
    config.max_position = 131072;
    config.rms_norm_eps = 1e-5;
    config.tie_word_embeddings = s.tied;
    config.window_lens.assign(static_cast<std::size_t>(s.num_layers), 0);
    config.rope.theta = 500000.0;
    return config;
  }
  throw_error(ErrorKind::kNotFound, "no shape \"{}\"; known: {}", name, fmt::join(shape_names(), ", "));
}

}  // namespace quire
