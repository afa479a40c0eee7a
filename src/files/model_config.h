// config.json of the decoder families that one decoder can run: Llama 2 and 3.x, Mistral, Qwen2, Qwen3,
// Gemma 2.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "files/rope_config.h"

namespace quire {

enum class Activation { kSilu, kGelu, kGeluTanh };  // of the gate: down(activation(gate(x)) * up(x))

// Where a layer's norms stand around each of its two halves f, attention and MLP.
enum class NormPlacement {
  kBefore,           // x + f(norm(x))
  kBeforeAndBehind,  // x + norm(f(norm(x)))
};

// How a query knows where a key stands.
enum class PositionEncoding {
  kRope,   // queries and keys are rotated
  kAlibi,  // scores fall with the distance, in each head with another slope
};

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
  NormPlacement norm_placement = NormPlacement::kBefore;
  bool norm_adds_one = false;     // every norm multiplies by 1 + its weight
  bool scales_embedding = false;  // embeddings are multiplied by the root of hidden_dim, rounded to dtype
  bool has_sinks = false;         // one more score per query head, without a value
  double attention_scale = 0;     // of scores; 0: 1 / sqrt(head_dim)
  double attention_soft_cap = 0;  // of scores: cap * tanh(score / cap); 0 = off
  double logits_soft_cap = 0;     // of the head's outputs, likewise

  // Of each layer, how many keys a query sees, itself among them; 0 = all. [num_layers]
  std::vector<int> window_lens;
  PositionEncoding position = PositionEncoding::kRope;
  RopeConfig rope;
};

// Throw Error{kUnsupported} naming file, field, value and what is supported for another architecture,
// activation, RoPE, dtype or a quantised model; Error{kCorruptFile} for values that cannot be;
// Error{kNotFound} without the file.
ModelConfig load_model_config(const std::filesystem::path& folder);
ModelConfig parse_model_config(std::string_view text, const std::string& origin);

}  // namespace quire
