// The one decoder of all model families: embedding, layers made of the parts of a ModelPlan, final norm,
// head.
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
#include "model/decoder_kernels.h"
#include "model/device_sampler.h"
#include "model/layer_plan.h"
#include "model/model_weights.h"
#include "model/step_inputs.h"

namespace quire {

struct DecoderOptions {
  int page_size = 16;
  int num_pages = 0;      // in the pool of the cache
  int max_model_len = 0;  // tokens; positions have to be less than this
  int max_num_seqs =
      0;  // memory for steps of so many requests and tokens is taken at once; 0: when it is needed
  int max_num_batched_tokens = 0;
  bool has_graphs = false;  // record steps of one token a request, and launch each as one graph
  bool batch_invariant = false;
  std::string attention_backend;  // "" = the first that can compute the model's attention
};

// Bytes of one page of the cache, which serves any of its groups.
std::size_t page_bytes(const Device& device, const ModelConfig& config, int page_size);

// The memory that steps of so many requests and tokens need in addition to weights and cache, in bytes.
std::size_t step_bytes(const ModelConfig& config, int max_num_seqs, int max_num_batched_tokens);

class DecoderModel {
 public:
  // `plan` must be from plan_model with the same device, config, page size and invariance. Throws
  // Error{kInvalidArgument}, Error{kNotFound}, Error{kUnsupported} or Error{kExhausted}.
  DecoderModel(Device& device, const ModelConfig& config, ModelPlan plan, ModelWeights weights,
               const DecoderOptions& options);

  // Launches one step. `batch` may change as soon as this returns.
  void forward(const StepBatch& batch);

  // The logits of batch.logit_rows, on the device, before ModelConfig::logits_soft_cap. Valid until the next
  // step.
  const float* logits() const { return activations_.logits->as<float>(); }  // [num_logit_rows, vocab_size]
  const std::int32_t* tokens() const {
    return sampler_.tokens();
  }  // [num_logit_rows], if any row wants no logits

  // Compiles and loads the kernels that steps need, by running a few of them.
  void prepare();

  const ModelConfig& config() const { return config_; }
  std::string backend() const;  // the attention backend, by name
  const std::vector<CacheGroup>& cache_groups() const { return plan_.cache.groups; }

 private:
  // Activations, [num_tokens, ...], grown to the largest step seen.
  struct Activations {
    std::unique_ptr<Buffer> hidden, residual, qkv, attention, delta, gate_up, mlp, logits;
  };

  // What the launches of a step have in common.
  struct Step {
    StepArrays arrays;
    bool is_recorded = false;
    bool has_random = false, has_thresholds = false;  // as of StepBatch
  };
  // What distinguishes recorded steps: the number of tokens; 0 if no row is drawn at random, 1 if some are, 2
  // if some have a threshold (top_k or top_p); the row length of each group's page table.
  using GraphKey = std::array<int, 2 + kMaxCacheGroups>;

  void reserve_steps(const DecoderOptions& options);
  void run_eagerly(const StepBatch& batch);
  void run_graph(const StepBatch& batch, int num_tokens);
  std::vector<std::uint64_t> recording_ids() const;
  void plan_attention(const StepBatch& batch);
  void reserve_activations(int num_tokens, int num_rows);
  void run_layers(const Step& step);
  void run_layer(const Step& step, std::size_t layer);
  void run_part(const Step& step, std::size_t layer, const GroupedAttention& part);
  void run_part(const Step& step, std::size_t layer, const GatedMlp& part);
  void head(const Step& step);
  void sample(const Step& step);

  void make_operators(const std::string& backend);
  void make_pool(int num_pages);
  std::byte* pool_of(std::size_t layer) const;
  void norm_into_hidden(const Buffer& weight, bool has_delta, int num_tokens);
  std::size_t elem() const { return dtype_bytes(config_.dtype); }
  int qkv_dim() const { return (config_.num_qo_heads + 2 * config_.num_kv_heads) * config_.head_dim; }

  Device& device_;
  const ModelConfig config_;
  const ModelWeights weights_;
  const ModelPlan plan_;
  const int page_size_, max_model_len_, num_pages_;
  DecoderKernels kernels_;
  std::vector<std::unique_ptr<AttentionOp>> ops_;  // one for each different desc
  std::vector<std::size_t> op_of_layer_;           // [num_layers]
  std::unique_ptr<Buffer> kv_pool_;                // [num_lanes, num_pages, lane], see CachePlan
  std::unique_ptr<Buffer> alibi_slopes_;           // f32 [num_qo_heads] or null
  std::unique_ptr<Buffer> cos_sin_;                // [max_model_len, 2, head_dim / 2], or null
  StepInputs inputs_;
  Activations activations_;
  std::uint64_t num_reallocations_ = 0;  // how often activations_ have been allocated anew
  DeviceSampler sampler_;
  int max_graph_tokens_ = 0;  // of a step that is recorded; 0: none is
  std::map<GraphKey, std::unique_ptr<Graph>> graphs_;
  std::vector<std::uint64_t> graphs_ids_;  // under which they were recorded
};

}  // namespace quire
