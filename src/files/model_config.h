// config.json of the decoder families that one decoder can run: Llama 2 and 3.x, Mistral, Qwen2, Qwen3.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "files/rope_config.h"

namespace quire {

enum class Activation { kSilu, kGelu, kGeluTanh };  // of the gate: down(activation(gate(x)) * up(x))

struct ModelConfig {
  std::string architecture;   // "LlamaForCausalLM"
  DType dtype = DType::kF32;  // in which the file says it was saved; each tensor also says its own

  int num_layers = 0;
  int hidden_dim = 0;
  int intermediate_dim = 0;
  int num_qo_heads = 0;
  int num_kv_heads = 0;  // divides num_qo_heads
  int head_dim = 0;      // 8 to 256, even; num_qo_heads * head_dim may differ from hidden_dim
  int vocab_size = 0;
  int max_position = 0;  // tokens of context

  double rms_norm_eps = 1e-6;
  Activation activation = Activation::kSilu;
  bool tie_word_embeddings = false;  // the output head is the embedding
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;  // RMS norm of each query and key head, before RoPE

  // Of each layer, how many keys a query sees, itself among them; 0 = all. [num_layers]
  std::vector<int> window_lens;
  RopeConfig rope;
};

// Throw Error{kUnsupported} naming file, field, value and what is supported for another architecture,
// activation, RoPE, dtype or a quantised model; Error{kCorruptFile} for values that cannot be;
// Error{kNotFound} without the file.
ModelConfig load_model_config(const std::filesystem::path& folder);
ModelConfig parse_model_config(std::string_view text, const std::string& origin);

}  // namespace quire
