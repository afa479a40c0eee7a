// The one decoder of all model families: embedding, layers of attention and gated MLP, final norm, head. Driven by ModelConfig.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "device/device.h"
#include "engine/batch.h"
#include "model/model_weights.h"

namespace quire {

struct DecoderOptions {
  int page_size = 16;
  int num_pages = 0;       // of the cache, in each layer
  int max_model_len = 0;   // tokens; positions below it can be computed
  bool batch_invariant = false;
  std::string attention_backend;  // "" = the first that can
};

// Bytes that one page takes in all layers together.
std::size_t page_bytes(const Device& device, const ModelConfig& config, int page_size);

class DecoderModel {
 public:
  // Throws Error{kInvalidArgument}, Error{kUnsupported} or Error{kExhausted}.
  DecoderModel(Device& device, const ModelConfig& config, ModelWeights weights, const DecoderOptions& options);

  // Computes one step and returns the logits of batch.logit_rows on the device, f32 [num_logit_rows, vocab_size].
  // Valid until the next call.
  const float* forward(const StepBatch& batch);

  const ModelConfig& config() const { return config_; }
  const std::string& backend() const { return backend_; }

 private:
  // Device copies of the step's index arrays.
  struct StepInputs {
    std::unique_ptr<Buffer> token_ids, positions, slot_mapping, page_table, logit_rows;
  };
  // Activations, [num_tokens, ...], grown to the largest step seen.
  struct Activations {
    std::unique_ptr<Buffer> hidden, residual, qkv, attention, delta, gate_up, mlp, logits;
  };

  void upload(const StepBatch& batch);
  void plan_attention(const StepBatch& batch);
  void reserve_activations(const StepBatch& batch);
  void embed(const StepBatch& batch);
  void attention_block(const StepBatch& batch, int layer);
  void mlp_block(const StepBatch& batch, int layer);
  const float* head(const StepBatch& batch);

  void linear(const PackedLinear& weight, const Buffer& x, const Buffer& y, int num_rows, bool to_f32 = false);
  void norm(const Buffer& weight, const Buffer* x, int num_rows);
  void head_norm(const Buffer& weight, long first_elem, int num_heads, int num_tokens);
  const AttentionDesc& desc(int layer) const { return descs_[static_cast<std::size_t>(layer)]; }
  std::size_t elem() const { return dtype_bytes(config_.dtype); }
  int qkv_dim() const { return (config_.num_qo_heads + 2 * config_.num_kv_heads) * config_.head_dim; }

  Device& device_;
  const ModelConfig config_;
  const ModelWeights weights_;
  std::string backend_;
  std::vector<AttentionDesc> descs_;               // [num_layers]
  std::vector<std::unique_ptr<AttentionOp>> ops_;  // one for each different desc
  std::vector<std::size_t> op_of_layer_;           // [num_layers]
  std::vector<std::unique_ptr<Buffer>> kv_pools_;  // [num_layers]
  std::unique_ptr<Buffer> cos_sin_;                // [max_model_len, 2, head_dim / 2]
  StepInputs inputs_;
  Activations activations_;
};

}  // namespace quire
