#include "model/decoder.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "files/rope_config.h"

namespace quire {
namespace {

AttentionDesc layer_desc(const ModelConfig& config, const DecoderOptions& options, int layer) {
  AttentionDesc desc;
  desc.num_qo_heads = config.num_qo_heads;
  desc.num_kv_heads = config.num_kv_heads;
  desc.head_dim_qk = desc.head_dim_vo = config.head_dim;
  desc.page_size = options.page_size;
  desc.dtype = config.dtype;
  desc.sm_scale = default_sm_scale(config.head_dim);
  desc.window = config.window_lens[static_cast<std::size_t>(layer)];
  desc.batch_invariant = options.batch_invariant;
  return desc;
}

// Angles in double: the error of a float angle grows with the position.
std::unique_ptr<Buffer> make_cos_sin(Device& device, const ModelConfig& config, int max_position) {
  const std::vector<float> inv_freq = rope_inv_freq(config.rope, config.head_dim);
  const double factor = rope_attention_factor(config.rope);
  const std::size_t half = inv_freq.size();
  std::vector<float> table(static_cast<std::size_t>(max_position) * 2 * half);
  for (std::size_t position = 0; position < static_cast<std::size_t>(max_position); ++position) {
    float* cosine = table.data() + position * 2 * half;
    for (std::size_t i = 0; i < half; ++i) {
      const double angle = double(position) * double(inv_freq[i]);
      cosine[i] = static_cast<float>(std::cos(angle) * factor);
      cosine[half + i] = static_cast<float>(std::sin(angle) * factor);
    }
  }
  auto buffer = device.allocate(table.size() * sizeof(float));
  device.copy_to_device(buffer->data(), table.data(), buffer->bytes());
  return buffer;
}

void reserve(Device& device, std::unique_ptr<Buffer>& buffer, std::size_t bytes) {
  if (buffer == nullptr || buffer->bytes() < bytes) buffer = device.allocate(std::max<std::size_t>(bytes, 64));
}

template <class T>
void upload_array(Device& device, std::unique_ptr<Buffer>& buffer, const std::vector<T>& values) {
  reserve(device, buffer, values.size() * sizeof(T));
  device.copy_to_device(buffer->data(), values.data(), values.size() * sizeof(T));
}

}  // namespace

std::size_t page_bytes(const Device& device, const ModelConfig& config, int page_size) {
  DecoderOptions options;
  options.page_size = page_size;
  const KvLayout layout = kv_layout(device, layer_desc(config, options, 0));
  return static_cast<std::size_t>(layout.page_stride) * dtype_bytes(config.dtype) * static_cast<std::size_t>(config.num_layers);
}

DecoderModel::DecoderModel(Device& device, const ModelConfig& config, ModelWeights weights, const DecoderOptions& options)
    : device_(device), config_(config), weights_(std::move(weights)) {
  QUIRE_CHECK(options.num_pages >= 1, "the cache needs at least 1 page, got {}", options.num_pages);
  QUIRE_CHECK(options.max_model_len >= 1 && options.max_model_len <= config.max_position,
              "max_model_len must be 1 to the model's {} tokens, got {}", config.max_position, options.max_model_len);
  for (int layer = 0; layer < config.num_layers; ++layer) {
    descs_.push_back(layer_desc(config, options, layer));
    const AttentionDesc& desc = descs_.back();
    const auto same = std::find_if(descs_.begin(), descs_.end(), [&](const AttentionDesc& d) { return d.window == desc.window; });
    const auto first = static_cast<std::size_t>(same - descs_.begin());
    if (first + 1 == descs_.size()) {
      const BackendChoice choice = choose_backend(options.attention_backend, desc, device.caps());
      backend_ = choice.backend->name();
      ops_.push_back(choice.backend->make(device, desc));
      op_of_layer_.push_back(ops_.size() - 1);
    } else {
      op_of_layer_.push_back(op_of_layer_[first]);
    }
    const KvLayout layout = kv_layout(device, desc);
    kv_pools_.push_back(device.allocate(static_cast<std::size_t>(layout.page_stride) * elem() *
                                        static_cast<std::size_t>(options.num_pages)));
  }
  cos_sin_ = make_cos_sin(device, config, options.max_model_len);
}

const float* DecoderModel::forward(const StepBatch& batch) {
  upload(batch);
  plan_attention(batch);
  reserve_activations(batch);
  embed(batch);
  for (int layer = 0; layer < config_.num_layers; ++layer) {
    attention_block(batch, layer);
    mlp_block(batch, layer);
  }
  return head(batch);
}

void DecoderModel::upload(const StepBatch& batch) {
  upload_array(device_, inputs_.token_ids, batch.token_ids);
  upload_array(device_, inputs_.positions, batch.positions);
  upload_array(device_, inputs_.slot_mapping, batch.slot_mapping);
  upload_array(device_, inputs_.page_table, batch.page_table);
  upload_array(device_, inputs_.logit_rows, batch.logit_rows);
}

void DecoderModel::plan_attention(const StepBatch& batch) {
  std::vector<std::int32_t> query_len(static_cast<std::size_t>(batch.num_seqs));
  for (std::size_t s = 0; s < query_len.size(); ++s) query_len[s] = batch.query_indptr[s + 1] - batch.query_indptr[s];
  const AttentionLengths lengths{query_len, std::span(batch.kv_len).first(query_len.size())};
  for (const auto& op : ops_) op->plan(lengths);
}

void DecoderModel::reserve_activations(const StepBatch& batch) {
  const auto rows = static_cast<std::size_t>(batch.num_tokens);
  const auto need = [&](std::unique_ptr<Buffer>& buffer, int dim) {
    reserve(device_, buffer, rows * static_cast<std::size_t>(dim) * elem());
  };
  need(activations_.hidden, config_.hidden_dim);
  need(activations_.residual, config_.hidden_dim);
  need(activations_.delta, config_.hidden_dim);
  need(activations_.qkv, qkv_dim());
  need(activations_.attention, config_.num_qo_heads * config_.head_dim);
  need(activations_.gate_up, 2 * config_.intermediate_dim);
  need(activations_.mlp, config_.intermediate_dim);
  reserve(device_, activations_.logits,
          batch.logit_rows.size() * static_cast<std::size_t>(config_.vocab_size) * sizeof(float));
}

void DecoderModel::embed(const StepBatch& batch) {
  EmbeddingParams p{};
  p.table = weights_.embedding->data();
  p.ids = inputs_.token_ids->as<int>();
  p.y = activations_.residual->data();
  p.num_rows = batch.num_tokens;
  p.dim = config_.hidden_dim;
  device_.run(KernelName::kEmbedding, config_.dtype, p, p.num_rows, {2.0 * p.num_rows * p.dim * double(elem()), 0});
}

// hidden = norm(residual + x) with the sum kept in residual; without x, norm(residual).
void DecoderModel::norm(const Buffer& weight, const Buffer* x, int num_rows) {
  RmsNormParams p{};
  p.x = x != nullptr ? x->data() : activations_.residual->data();
  p.residual = x != nullptr ? activations_.residual->data() : nullptr;
  p.weight = weight.data();
  p.y = activations_.hidden->data();
  p.x_stride = p.y_stride = p.residual_stride = config_.hidden_dim;
  p.num_rows = num_rows;
  p.dim = config_.hidden_dim;
  p.eps = static_cast<float>(config_.rms_norm_eps);
  device_.run(KernelName::kRmsNorm, config_.dtype, p, num_rows,
              {(x != nullptr ? 4.0 : 2.0) * num_rows * p.dim * double(elem()), 0});
}

// RMS norm of each head of q or k in place, inside the fused qkv rows.
void DecoderModel::head_norm(const Buffer& weight, long first_elem, int num_heads, int num_tokens) {
  RmsNormParams p{};
  p.x = p.y = activations_.qkv->data() + static_cast<std::size_t>(first_elem) * elem();
  p.weight = weight.data();
  p.x_stride = p.y_stride = qkv_dim();
  p.num_rows = num_tokens * num_heads;
  p.dim = config_.head_dim;
  p.group = num_heads;
  p.eps = static_cast<float>(config_.rms_norm_eps);
  device_.run(KernelName::kRmsNorm, config_.dtype, p, p.num_rows, {2.0 * p.num_rows * p.dim * double(elem()), 0});
}

void DecoderModel::linear(const PackedLinear& weight, const Buffer& x, const Buffer& y, int num_rows, bool to_f32) {
  LinearParams p{};
  p.x = x.data();
  p.weight = weight.weight->data();
  p.bias = weight.bias != nullptr ? weight.bias->data() : nullptr;
  p.y = y.data();
  p.x_stride = weight.in_dim;
  p.y_stride = weight.out_dim;
  p.num_rows = num_rows;
  p.in_dim = weight.in_dim;
  p.out_dim = weight.out_dim;
  p.batch_invariant = descs_[0].batch_invariant ? 1 : 0;
  const double in = weight.in_dim, out = weight.out_dim, rows = num_rows;
  device_.run(to_f32 ? KernelName::kLinearToF32 : KernelName::kLinear, config_.dtype, p, num_rows,
              {(in * out + rows * (in + out)) * double(elem()), 2 * in * out * rows});
}

void DecoderModel::attention_block(const StepBatch& batch, int layer) {
  const LayerWeights& w = weights_.layers[static_cast<std::size_t>(layer)];
  const Buffer& pool = *kv_pools_[static_cast<std::size_t>(layer)];
  const Buffer& qkv = *activations_.qkv;
  const int tokens = batch.num_tokens, q_dim = config_.num_qo_heads * config_.head_dim;
  const int kv_dim = config_.num_kv_heads * config_.head_dim;
  norm(*w.input_norm, layer > 0 ? activations_.delta.get() : nullptr, tokens);
  linear(w.qkv, *activations_.hidden, qkv, tokens);
  if (w.q_norm != nullptr) head_norm(*w.q_norm, 0, config_.num_qo_heads, tokens);
  if (w.k_norm != nullptr) head_norm(*w.k_norm, q_dim, config_.num_kv_heads, tokens);

  RopeParams rope{};
  rope.x = qkv.data();
  rope.positions = inputs_.positions->as<int>();
  rope.cos_sin = cos_sin_->as<float>();
  rope.token_stride = qkv_dim();
  rope.num_tokens = tokens;
  rope.num_heads = config_.num_qo_heads + config_.num_kv_heads;
  rope.head_dim = config_.head_dim;
  device_.run(KernelName::kRope, config_.dtype, rope, tokens, {2.0 * tokens * (q_dim + kv_dim) * double(elem()), 0});

  KvWriteTensors kv;
  kv.k = qkv.data() + static_cast<std::size_t>(q_dim) * elem();
  kv.v = qkv.data() + static_cast<std::size_t>(q_dim + kv_dim) * elem();
  kv.kv_pool = pool.data();
  kv.slot_mapping = inputs_.slot_mapping->as<std::int64_t>();
  kv.k_token_stride = kv.v_token_stride = qkv_dim();
  kv.num_tokens = tokens;
  write_kv(device_, desc(layer), kv);

  AttentionTensors attention;
  attention.q = qkv.data();
  attention.o = activations_.attention->data();
  attention.kv_pool = pool.data();
  attention.page_table = inputs_.page_table->as<std::int32_t>();
  attention.max_pages = batch.max_pages;
  attention.q_token_stride = qkv_dim();
  ops_[op_of_layer_[static_cast<std::size_t>(layer)]]->run(attention);
  linear(w.o, *activations_.attention, *activations_.delta, tokens);
}

void DecoderModel::mlp_block(const StepBatch& batch, int layer) {
  const LayerWeights& w = weights_.layers[static_cast<std::size_t>(layer)];
  norm(*w.post_attention_norm, activations_.delta.get(), batch.num_tokens);
  linear(w.gate_up, *activations_.hidden, *activations_.gate_up, batch.num_tokens);
  ActivationParams p{};
  p.gate_up = activations_.gate_up->data();
  p.y = activations_.mlp->data();
  p.num_rows = batch.num_tokens;
  p.dim = config_.intermediate_dim;
  p.kind = config_.activation == Activation::kSilu   ? ActivationKind::kSilu
           : config_.activation == Activation::kGelu ? ActivationKind::kGelu
                                                     : ActivationKind::kGeluTanh;
  device_.run(KernelName::kActivation, config_.dtype, p, p.num_rows, {3.0 * p.num_rows * p.dim * double(elem()), 0});
  linear(w.down, *activations_.mlp, *activations_.delta, batch.num_tokens);
}

// The last norm runs on all tokens; only the rows whose logits are wanted meet the head, the widest matrix of all.
const float* DecoderModel::head(const StepBatch& batch) {
  const int rows = static_cast<int>(batch.logit_rows.size());
  norm(*weights_.final_norm, activations_.delta.get(), batch.num_tokens);
  EmbeddingParams p{};
  p.table = activations_.hidden->data();
  p.ids = inputs_.logit_rows->as<int>();
  p.y = activations_.delta->data();
  p.num_rows = rows;
  p.dim = config_.hidden_dim;
  device_.run(KernelName::kEmbedding, config_.dtype, p, rows, {2.0 * rows * p.dim * double(elem()), 0});
  linear(weights_.lm_head, *activations_.delta, *activations_.logits, rows, true);
  return activations_.logits->as<float>();
}

}  // namespace quire
