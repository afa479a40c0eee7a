// The one decoder of all model families: embedding, layers of attention and gated MLP, final norm, head. Driven by ModelConfig.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "attention/attention.h"
#include "device/device.h"
#include "engine/batch.h"
#include "model/device_sampler.h"
#include "model/model_weights.h"
#include "model/step_inputs.h"

namespace quire {

struct DecoderOptions {
  int page_size = 16;
  int num_pages = 0;       // of the cache, in each layer
  int max_model_len = 0;   // tokens; positions below it can be computed
  int max_num_seqs = 0;            // memory for steps of so many requests and tokens is taken at once; 0: when it is needed
  int max_num_batched_tokens = 0;
  bool has_graphs = false;  // steps of one token a request are recorded, and start as a whole
  bool batch_invariant = false;
  std::string attention_backend;  // "" = the first that can
};

// Bytes that one page takes in all layers together.
std::size_t page_bytes(const Device& device, const ModelConfig& config, int page_size);

// Bytes beside weights and cache that steps of so many requests and tokens take.
std::size_t step_bytes(const ModelConfig& config, int max_num_seqs, int max_num_batched_tokens);

class DecoderModel {
 public:
  // Throws Error{kInvalidArgument}, Error{kUnsupported} or Error{kExhausted}.
  DecoderModel(Device& device, const ModelConfig& config, ModelWeights weights, const DecoderOptions& options);

  // Launches one step. What it needs of the batch is copied.
  void forward(const StepBatch& batch);

  // Of batch.logit_rows, on the device; valid until the next step.
  const float* logits() const { return activations_.logits->as<float>(); }     // [num_logit_rows, vocab_size]
  const std::int32_t* tokens() const { return sampler_.tokens(); }            // [num_logit_rows], if any row wants no logits

  // Gets the kernels ready that steps need.
  void prepare();

  const ModelConfig& config() const { return config_; }
  const std::string& backend() const { return backend_; }

 private:
  // Activations, [num_tokens, ...], grown to the largest step seen.
  struct Activations {
    std::unique_ptr<Buffer> hidden, residual, qkv, attention, delta, gate_up, mlp, logits;
  };

  // What the launches of a step need to know.
  struct Step {
    StepArrays arrays;
    bool is_recorded = false;
    bool has_random = false, has_cuts = false;  // as of StepBatch
  };
  using GraphKey = std::array<int, 3>;  // tokens, row length of the page table, whether rows are drawn at random (1), with cuts (2)

  void reserve_steps(const DecoderOptions& options);
  void run_eagerly(const StepBatch& batch);
  void run_graph(const StepBatch& batch, int num_tokens);
  std::vector<std::uint64_t> recording_ids() const;
  void plan_attention(const StepBatch& batch);
  void reserve_activations(int num_tokens, int num_rows);
  void run_layers(const Step& step);
  void embed(const Step& step);
  void attention_block(const Step& step, int layer);
  void mlp_block(const Step& step, int layer);
  void head(const Step& step);
  void sample(const Step& step);

  void linear(const PackedLinear& weight, const Buffer& x, const Buffer& y, int num_rows, bool to_f32 = false);
  void norm(const Buffer& weight, const Buffer* x, int num_rows);
  void head_norm(const Buffer& weight, long first_elem, int num_heads, int num_tokens);
  const AttentionDesc& desc(int layer) const { return descs_[static_cast<std::size_t>(layer)]; }
  std::size_t elem() const { return dtype_bytes(config_.dtype); }
  int qkv_dim() const { return (config_.num_qo_heads + 2 * config_.num_kv_heads) * config_.head_dim; }

  Device& device_;
  const ModelConfig config_;
  const ModelWeights weights_;
  const int page_size_, max_model_len_;
  std::string backend_;
  std::vector<AttentionDesc> descs_;               // [num_layers]
  std::vector<std::unique_ptr<AttentionOp>> ops_;  // one for each different desc
  std::vector<std::size_t> op_of_layer_;           // [num_layers]
  std::vector<std::unique_ptr<Buffer>> kv_pools_;  // [num_layers]
  std::unique_ptr<Buffer> cos_sin_;                // [max_model_len, 2, head_dim / 2]
  StepInputs inputs_;
  Activations activations_;
  std::uint64_t num_reallocations_ = 0;  // of activations
  DeviceSampler sampler_;
  int max_graph_tokens_ = 0;  // of a step that is recorded; 0: none is
  std::map<GraphKey, std::unique_ptr<Graph>> graphs_;
  std::vector<std::uint64_t> graphs_ids_;  // under which they were recorded
};

}  // namespace quire
