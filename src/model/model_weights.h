// A decoder's weights in device memory. Matrices are packed in the layout of the target.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "device/device.h"
#include "files/model_config.h"
#include "model/tensor_source.h"

namespace quire {

// One or several matrices that read the same input, stacked along the output.
struct PackedLinear {
  std::unique_ptr<Buffer> weight;  // packed [out_dim, in_dim]
  std::unique_ptr<Buffer> bias;    // [out_dim] or null
  int in_dim = 0, out_dim = 0;
};

struct LayerWeights {
  std::unique_ptr<Buffer> attention_norm, mlp_norm;          // [hidden_dim], of the inputs
  std::unique_ptr<Buffer> attention_out_norm, mlp_out_norm;  // [hidden_dim], of the outputs, or null
  std::unique_ptr<Buffer> q_norm, k_norm;                    // [head_dim] or null
  std::unique_ptr<Buffer> sinks;                             // f32 [num_qo_heads] or null
  PackedLinear qkv;                                          // hidden_dim -> q heads, k heads, v heads
  PackedLinear o;                                            // q heads -> hidden_dim
  PackedLinear gate_up;                                      // hidden_dim -> gate, up
  PackedLinear down;                                         // intermediate_dim -> hidden_dim
};

struct ModelWeights {
  std::unique_ptr<Buffer> embedding;   // [vocab_size, hidden_dim], with the model's factor applied
  std::unique_ptr<Buffer> final_norm;  // [hidden_dim]
  PackedLinear lm_head;                // hidden_dim -> vocab_size
  std::vector<LayerWeights> layers;
};

// `note` says what is being done, for people.
using LoadProgress = std::function<void(double fraction, const char* note)>;

// Reads every tensor that the configuration lists and converts it to config.dtype. For norms that multiply by
// 1 + weight that sum is stored. Throws what the source throws, and Error{kExhausted}.
ModelWeights load_model_weights(Device& device, const ModelConfig& config, TensorSource& source,
                                const LoadProgress& progress = {});

}  // namespace quire
