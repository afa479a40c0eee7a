#include "model/decoder.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "files/rope_config.h"
#include "tile/ranges.h"

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

// True if the buffer is new.
bool reserve(Device& device, std::unique_ptr<Buffer>& buffer, std::size_t bytes) {
  if (buffer != nullptr && buffer->bytes() >= bytes) return false;
  buffer = device.allocate(std::max<std::size_t>(bytes, 64));
  return true;
}

// Tokens of a recorded step: few sizes, so that few graphs serve all.
int padded_tokens(int num_tokens) {
  for (const int few : {1, 2, 4}) {
    if (num_tokens <= few) return few;
  }
  return round_up(num_tokens, 8);
}

// Elements of the activations of one token.
std::size_t activation_elems(const ModelConfig& config) {
  const int heads = 2 * config.num_qo_heads + 2 * config.num_kv_heads;
  return static_cast<std::size_t>(3 * config.hidden_dim + heads * config.head_dim + 3 * config.intermediate_dim);
}

// A step whose tokens mean nothing, to find out what it launches.
StepBatch blank_step(const std::vector<std::int32_t>& query_len, int page_size) {
  StepBatch batch;
  batch.num_seqs = static_cast<std::int32_t>(query_len.size());
  batch.query_indptr = {0};
  for (const std::int32_t len : query_len) {
    batch.num_tokens += len;
    batch.max_query_len = batch.max_kv_len = std::max(batch.max_query_len, len);
    batch.query_indptr.push_back(batch.num_tokens);
    batch.kv_len.push_back(len);
    batch.logit_rows.push_back(batch.num_tokens - 1);
  }
  const auto num_tokens = static_cast<std::size_t>(batch.num_tokens);
  batch.max_pages = ceil_div(batch.max_kv_len, page_size);
  batch.token_ids.assign(num_tokens, 0);
  batch.positions.assign(num_tokens, 0);
  batch.slot_mapping.assign(num_tokens, -1);
  batch.drawn_rows.assign(num_tokens, 0);
  batch.page_table.assign(query_len.size() * static_cast<std::size_t>(batch.max_pages), 0);
  batch.wants_logits.assign(query_len.size(), 0);
  batch.draws.assign(query_len.size(), TokenDraw{});
  batch.has_random = batch.has_cuts = true;
  return batch;
}

}  // namespace

std::size_t page_bytes(const Device& device, const ModelConfig& config, int page_size) {
  DecoderOptions options;
  options.page_size = page_size;
  const KvLayout layout = kv_layout(device, layer_desc(config, options, 0));
  return layout.page_bytes * static_cast<std::size_t>(config.num_layers);
}

std::size_t step_bytes(const ModelConfig& config, int max_num_seqs, int max_num_batched_tokens) {
  const auto num_tokens = static_cast<std::size_t>(std::max(max_num_batched_tokens, max_num_seqs)) + 8;
  const auto num_rows = static_cast<std::size_t>(max_num_seqs) + 8;
  return num_tokens * activation_elems(config) * dtype_bytes(config.dtype) +
         num_rows * (static_cast<std::size_t>(config.vocab_size) * sizeof(float) + DeviceSampler::row_bytes(config.vocab_size));
}

DecoderModel::DecoderModel(Device& device, const ModelConfig& config, ModelWeights weights, const DecoderOptions& options)
    : device_(device),
      config_(config),
      weights_(std::move(weights)),
      page_size_(options.page_size),
      max_model_len_(options.max_model_len),
      inputs_(device),
      sampler_(device, config.vocab_size) {
  QUIRE_CHECK(options.num_pages >= 1, "the cache needs at least 1 page, got {}", options.num_pages);
  QUIRE_CHECK(options.max_model_len >= 1 && options.max_model_len <= config.max_position,
              "max_model_len must be 1 to the model's {} tokens, got {}", config.max_position, options.max_model_len);
  for (int layer = 0; layer < config.num_layers; ++layer) {
    descs_.push_back(layer_desc(config, options, layer));
    const AttentionDesc& desc = descs_.back();
    const auto same = std::find_if(descs_.begin(), descs_.end(), [&](const AttentionDesc& d) { return d.window == desc.window; });
    const auto first = static_cast<std::size_t>(same - descs_.begin());
    if (first + 1 == descs_.size()) {
      const BackendChoice choice = choose_backend(options.attention_backend, desc, device);
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
  if (options.max_num_seqs > 0) reserve_steps(options);
}

void DecoderModel::reserve_steps(const DecoderOptions& options) {
  const int num_seqs = padded_tokens(options.max_num_seqs), num_tokens = std::max(options.max_num_batched_tokens, num_seqs);
  reserve_activations(num_tokens, num_seqs);
  sampler_.reserve(num_seqs);
  inputs_.reserve(num_tokens, num_seqs, num_seqs, std::min(256, ceil_div(options.max_model_len, options.page_size)));
  if (!options.has_graphs) return;
  for (const auto& op : ops_) op->reserve(num_seqs);
  if (std::any_of(ops_.begin(), ops_.end(), [](const auto& op) { return op->recording_id() == 0; })) return;
  max_graph_tokens_ = num_seqs;
  // Padding is no work of attention: what stands in its rows is read, and should be numbers.
  const std::vector<std::byte> zeros(activations_.attention->bytes());
  device_.copy_to_device(activations_.attention->data(), zeros.data(), zeros.size());
}

void DecoderModel::forward(const StepBatch& batch) {
  const bool is_decode = batch.max_query_len == 1 && static_cast<int>(batch.logit_rows.size()) == batch.num_tokens;
  const int num_tokens = padded_tokens(batch.num_tokens);
  is_decode && num_tokens <= max_graph_tokens_ ? run_graph(batch, num_tokens) : run_eagerly(batch);
}

void DecoderModel::run_eagerly(const StepBatch& batch) {
  const Step step{inputs_.upload(batch), false, batch.has_random, batch.has_cuts};
  plan_attention(batch);
  reserve_activations(step.arrays.num_tokens, step.arrays.num_rows);
  // Before memory of the tokens may be taken anew.
  const bool takes = std::any_of(batch.drawn_rows.begin(), batch.drawn_rows.end(), [](int row) { return row >= 0; });
  if (takes) sampler_.take_tokens(step.arrays.drawn_rows, step.arrays.token_ids, step.arrays.num_tokens);
  run_layers(step);
  const bool samples = std::any_of(batch.wants_logits.begin(), batch.wants_logits.end(), [](int wants) { return wants == 0; });
  if (!samples) return;
  sampler_.reserve(step.arrays.num_rows);
  sample(step);
}

void DecoderModel::sample(const Step& step) {
  sampler_.sample(logits(), step.arrays.num_rows);
  if (step.has_random) sampler_.draw(logits(), step.arrays.draws, step.arrays.num_rows, step.has_cuts);
}

// Everything that differs between two steps of the same padded size is read from memory.
void DecoderModel::run_graph(const StepBatch& batch, int num_tokens) {
  const Step step{inputs_.upload_padded(batch, num_tokens), true, batch.has_random, batch.has_cuts};
  plan_attention(batch);
  if (recording_ids() != graphs_ids_) {
    if (!graphs_.empty()) device_.synchronize();  // one of them may still run
    graphs_.clear();
    graphs_ids_ = recording_ids();
  }
  std::unique_ptr<Graph>& graph = graphs_[{num_tokens, batch.max_pages, batch.has_cuts ? 2 : batch.has_random ? 1 : 0}];
  if (graph == nullptr) {
    graph = device_.capture([this, step] {
      sampler_.take_tokens(step.arrays.drawn_rows, step.arrays.token_ids, step.arrays.num_tokens);
      run_layers(step);
      sample(step);
    });
  }
  graph->launch();
  for (const std::size_t op : op_of_layer_) device_.add_cost(ops_[op]->cost());
}

std::vector<std::uint64_t> DecoderModel::recording_ids() const {
  std::vector<std::uint64_t> ids = {inputs_.num_reallocations(), sampler_.num_reallocations(), num_reallocations_};
  for (const auto& op : ops_) ids.push_back(op->recording_id());
  return ids;
}

void DecoderModel::prepare() {
  const std::vector<std::vector<std::int32_t>> steps = {{1}, {4}, {64}, {1, 64}, std::vector<std::int32_t>(32, 1)};
  device_.prepare([&] {
    for (std::vector<std::int32_t> query_len : steps) {
      for (std::int32_t& len : query_len) len = std::min(len, max_model_len_);
      run_eagerly(blank_step(query_len, page_size_));
    }
  });
}

void DecoderModel::run_layers(const Step& step) {
  embed(step);
  for (int layer = 0; layer < config_.num_layers; ++layer) {
    attention_block(step, layer);
    mlp_block(step, layer);
  }
  head(step);
}

void DecoderModel::plan_attention(const StepBatch& batch) {
  std::vector<std::int32_t> query_len(static_cast<std::size_t>(batch.num_seqs));
  for (std::size_t s = 0; s < query_len.size(); ++s) query_len[s] = batch.query_indptr[s + 1] - batch.query_indptr[s];
  const AttentionLengths lengths{query_len, std::span(batch.kv_len).first(query_len.size())};
  for (const auto& op : ops_) op->plan(lengths);
}

void DecoderModel::reserve_activations(int num_tokens, int num_rows) {
  bool is_new = false;
  const auto need = [&](std::unique_ptr<Buffer>& buffer, int dim) {
    is_new |= reserve(device_, buffer, static_cast<std::size_t>(num_tokens) * static_cast<std::size_t>(dim) * elem());
  };
  need(activations_.hidden, config_.hidden_dim);
  need(activations_.residual, config_.hidden_dim);
  need(activations_.delta, config_.hidden_dim);
  need(activations_.qkv, qkv_dim());
  need(activations_.attention, config_.num_qo_heads * config_.head_dim);
  need(activations_.gate_up, 2 * config_.intermediate_dim);
  need(activations_.mlp, config_.intermediate_dim);
  is_new |= reserve(device_, activations_.logits,
                    static_cast<std::size_t>(num_rows) * static_cast<std::size_t>(config_.vocab_size) * sizeof(float));
  num_reallocations_ += is_new ? 1 : 0;
}

void DecoderModel::embed(const Step& step) {
  EmbeddingParams p{};
  p.table = weights_.embedding->data();
  p.ids = step.arrays.token_ids;
  p.y = activations_.residual->data();
  p.num_rows = step.arrays.num_tokens;
  p.dim = config_.hidden_dim;
  device_.run(RowVariant{KernelName::kEmbedding, config_.dtype}, p, p.num_rows, {2.0 * p.num_rows * p.dim * double(elem()), 0});
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
  device_.run(RowVariant{KernelName::kRmsNorm, config_.dtype}, p, num_rows,
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
  device_.run(RowVariant{KernelName::kRmsNorm, config_.dtype}, p, p.num_rows, {2.0 * p.num_rows * p.dim * double(elem()), 0});
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
  device_.run(plain_linear(config_.dtype, to_f32 ? DType::kF32 : config_.dtype), p, num_rows,
              {(in * out + rows * (in + out)) * double(elem()), 2 * in * out * rows});
}

void DecoderModel::attention_block(const Step& step, int layer) {
  const LayerWeights& w = weights_.layers[static_cast<std::size_t>(layer)];
  const Buffer& pool = *kv_pools_[static_cast<std::size_t>(layer)];
  const Buffer& qkv = *activations_.qkv;
  const int tokens = step.arrays.num_tokens, q_dim = config_.num_qo_heads * config_.head_dim;
  const int kv_dim = config_.num_kv_heads * config_.head_dim;
  norm(*w.input_norm, layer > 0 ? activations_.delta.get() : nullptr, tokens);
  linear(w.qkv, *activations_.hidden, qkv, tokens);
  if (w.q_norm != nullptr) head_norm(*w.q_norm, 0, config_.num_qo_heads, tokens);
  if (w.k_norm != nullptr) head_norm(*w.k_norm, q_dim, config_.num_kv_heads, tokens);

  RopeParams rope{};
  rope.x = qkv.data();
  rope.positions = step.arrays.positions;
  rope.cos_sin = cos_sin_->as<float>();
  rope.token_stride = qkv_dim();
  rope.num_tokens = tokens;
  rope.num_heads = config_.num_qo_heads + config_.num_kv_heads;
  rope.head_dim = config_.head_dim;

  KvWriteTensors kv;
  kv.k = qkv.data() + static_cast<std::size_t>(q_dim) * elem();
  kv.v = qkv.data() + static_cast<std::size_t>(q_dim + kv_dim) * elem();
  kv.kv_pool = pool.data();
  kv.slot_mapping = step.arrays.slot_mapping;
  kv.k_token_stride = kv.v_token_stride = qkv_dim();
  kv.num_tokens = tokens;
  rope.kv = kv_write_params(device_, desc(layer), kv);
  device_.run(RowVariant{KernelName::kRope, config_.dtype}, rope, tokens, {2.0 * tokens * (q_dim + 3 * kv_dim) * double(elem()), 0});

  AttentionTensors attention;
  attention.q = qkv.data();
  attention.o = activations_.attention->data();
  attention.kv_pool = pool.data();
  attention.page_table = step.arrays.page_table;
  attention.max_pages = step.arrays.max_pages;
  attention.q_token_stride = qkv_dim();
  attention.is_recorded = step.is_recorded;
  ops_[op_of_layer_[static_cast<std::size_t>(layer)]]->run(attention);
  linear(w.o, *activations_.attention, *activations_.delta, tokens);
}

void DecoderModel::mlp_block(const Step& step, int layer) {
  const LayerWeights& w = weights_.layers[static_cast<std::size_t>(layer)];
  norm(*w.post_attention_norm, activations_.delta.get(), step.arrays.num_tokens);
  linear(w.gate_up, *activations_.hidden, *activations_.gate_up, step.arrays.num_tokens);
  ActivationParams p{};
  p.gate_up = activations_.gate_up->data();
  p.y = activations_.mlp->data();
  p.num_rows = step.arrays.num_tokens;
  p.dim = config_.intermediate_dim;
  p.kind = config_.activation == Activation::kSilu   ? ActivationKind::kSilu
           : config_.activation == Activation::kGelu ? ActivationKind::kGelu
                                                     : ActivationKind::kGeluTanh;
  device_.run(RowVariant{KernelName::kActivation, config_.dtype}, p, p.num_rows, {3.0 * p.num_rows * p.dim * double(elem()), 0});
  linear(w.down, *activations_.mlp, *activations_.delta, step.arrays.num_tokens);
}

// The last norm runs on all tokens; only the rows whose logits are wanted meet the head, the widest matrix of all.
void DecoderModel::head(const Step& step) {
  const int rows = step.arrays.num_rows;
  norm(*weights_.final_norm, activations_.delta.get(), step.arrays.num_tokens);
  EmbeddingParams p{};
  p.table = activations_.hidden->data();
  p.ids = step.arrays.logit_rows;
  p.y = activations_.delta->data();
  p.num_rows = rows;
  p.dim = config_.hidden_dim;
  device_.run(RowVariant{KernelName::kEmbedding, config_.dtype}, p, rows, {2.0 * rows * p.dim * double(elem()), 0});
  linear(weights_.lm_head, *activations_.delta, *activations_.logits, rows, true);
}

}  // namespace quire
