#include "model/decoder.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "files/rope_config.h"
#include "tile/ranges.h"

namespace quire {
namespace {

// Angles are computed in double, because the error of a float angle grows with the position.
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

// Makes the buffer hold at least `bytes`; true if it was allocated anew.
bool reserve(Device& device, std::unique_ptr<Buffer>& buffer, std::size_t bytes) {
  if (buffer != nullptr && buffer->bytes() >= bytes) return false;
  buffer = device.allocate(std::max<std::size_t>(bytes, 64));
  return true;
}

// Rounds the tokens of a recorded step up to one of few sizes, so that few graphs are recorded.
int padded_tokens(int num_tokens) {
  for (const int few : {1, 2, 4}) {
    if (num_tokens <= few) return few;
  }
  return round_up(num_tokens, 8);
}

// The number of elements of all activations of one token.
std::size_t activation_elems(const ModelConfig& config) {
  const int heads = 2 * config.num_qo_heads + 2 * config.num_kv_heads;
  return static_cast<std::size_t>(3 * config.hidden_dim + heads * config.head_dim +
                                  3 * config.intermediate_dim);
}

// A step with arbitrary tokens, to compile and load the kernels that such a step launches.
StepBatch blank_step(const std::vector<std::int32_t>& query_len, const CachePlan& cache, int page_size) {
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
  for (const CacheGroup& group : cache.groups) {
    GroupBatch& of_group = batch.groups.emplace_back();
    of_group.max_pages = ceil_div(batch.max_kv_len, page_size * group.page_scale);
    of_group.page_table.assign(query_len.size() * static_cast<std::size_t>(of_group.max_pages), 0);
    of_group.slot_mapping.assign(num_tokens, -1);
  }
  batch.token_ids.assign(num_tokens, 0);
  batch.positions.assign(num_tokens, 0);
  batch.drawn_rows.assign(num_tokens, 0);
  batch.wants_logits.assign(query_len.size(), 0);
  batch.draws.assign(query_len.size(), TokenDraw{});
  batch.has_random = batch.has_thresholds = true;
  return batch;
}

// How the kernels of each cache group find their pages.
std::vector<GroupPaging> paging_of(const CachePlan& cache, int num_pages) {
  std::vector<GroupPaging> groups;
  for (std::size_t g = 0; g < cache.groups.size(); ++g) {
    groups.push_back(
        {cache.groups[g].page_scale, static_cast<int>(std::int64_t{cache.lanes_of_group[g]} * num_pages)});
  }
  return groups;
}

std::unique_ptr<Buffer> make_slopes(Device& device, int num_heads) {
  const std::vector<float> slopes = alibi_slopes(num_heads);
  auto buffer = device.allocate(slopes.size() * sizeof(float));
  device.copy_to_device(buffer->data(), slopes.data(), buffer->bytes());
  return buffer;
}

}  // namespace

std::size_t page_bytes(const Device& device, const ModelConfig& config, int page_size) {
  return plan_model(device, config, page_size, false).cache.page_bytes();
}

std::size_t step_bytes(const ModelConfig& config, int max_num_seqs, int max_num_batched_tokens) {
  const auto num_tokens = static_cast<std::size_t>(std::max(max_num_batched_tokens, max_num_seqs)) + 8;
  const auto num_rows = static_cast<std::size_t>(max_num_seqs) + 8;
  return num_tokens * activation_elems(config) * dtype_bytes(config.dtype) +
         num_rows * (static_cast<std::size_t>(config.vocab_size) * sizeof(float) +
                     DeviceSampler::row_bytes(config.vocab_size));
}

DecoderModel::DecoderModel(Device& device, const ModelConfig& config, ModelPlan plan, ModelWeights weights,
                           const DecoderOptions& options)
    : device_(device),
      config_(config),
      weights_(std::move(weights)),
      plan_(std::move(plan)),
      page_size_(options.page_size),
      max_model_len_(options.max_model_len),
      num_pages_(options.num_pages),
      kernels_(device, config.dtype, config.rms_norm_eps, options.batch_invariant),
      inputs_(device, options.page_size, paging_of(plan_.cache, options.num_pages)),
      sampler_(device, config.vocab_size) {
  QUIRE_CHECK(options.max_model_len >= 1 && options.max_model_len <= config.max_position,
              "max_model_len must be 1 to the model's {} tokens, got {}", config.max_position,
              options.max_model_len);
  make_operators(options.attention_backend);
  make_pool(options.num_pages);
  if (config.position == PositionEncoding::kRope)
    cos_sin_ = make_cos_sin(device, config, options.max_model_len);
  if (config.position == PositionEncoding::kAlibi) alibi_slopes_ = make_slopes(device, config.num_qo_heads);
  if (options.max_num_seqs > 0) reserve_steps(options);
}

// Layers share an operator if their descs are equal.
void DecoderModel::make_operators(const std::string& backend) {
  std::vector<AttentionDesc> descs;  // of ops_
  for (const LayerPlan& layer : plan_.layers) {
    const AttentionDesc& desc = std::get<GroupedAttention>(layer.attention).desc;
    const auto same = std::find(descs.begin(), descs.end(), desc);
    op_of_layer_.push_back(static_cast<std::size_t>(same - descs.begin()));
    if (same != descs.end()) continue;
    descs.push_back(desc);
    ops_.push_back(choose_backend(backend, desc, device_).backend->make(device_, desc));
  }
}

void DecoderModel::make_pool(int num_pages) {
  QUIRE_CHECK(num_pages >= 1, "the cache needs at least 1 page, got {}", num_pages);
  const std::int64_t num_parts = std::int64_t{plan_.cache.num_lanes} * num_pages;
  QUIRE_CHECK(num_parts <= std::numeric_limits<std::int32_t>::max(),
              "{} pages of {} layers are {} parts, at most 2^31 - 1 are supported", num_pages,
              plan_.cache.num_lanes, num_parts);
  kv_pool_ = device_.allocate(plan_.cache.page_bytes() * static_cast<std::size_t>(num_pages));
}

// The pool of this layer: its lane of the cache.
std::byte* DecoderModel::pool_of(std::size_t layer) const {
  const auto lane = static_cast<std::size_t>(plan_.layers[layer].cache.lane);
  return kv_pool_->data() + lane * static_cast<std::size_t>(num_pages_) * plan_.cache.lane_bytes;
}

std::string DecoderModel::backend() const {
  std::string names;
  for (const auto& op : ops_) {
    if (names.find(op->backend()) == std::string::npos)
      names += (names.empty() ? "" : ", ") + std::string(op->backend());
  }
  return names;
}

void DecoderModel::reserve_steps(const DecoderOptions& options) {
  const int num_seqs = padded_tokens(options.max_num_seqs),
            num_tokens = std::max(options.max_num_batched_tokens, num_seqs);
  reserve_activations(num_tokens, num_seqs);
  sampler_.reserve(num_seqs);
  inputs_.reserve(num_tokens, num_seqs, num_seqs,
                  std::min(256, ceil_div(options.max_model_len, options.page_size)));
  if (!options.has_graphs) return;
  for (const auto& op : ops_) op->reserve(num_seqs);
  if (std::any_of(ops_.begin(), ops_.end(), [](const auto& op) { return op->recording_id() == 0; })) return;
  max_graph_tokens_ = num_seqs;
  // Attention does not write the rows of padding tokens, but later kernels read them: they must be numbers.
  const std::vector<std::byte> zeros(activations_.attention->bytes());
  device_.copy_to_device(activations_.attention->data(), zeros.data(), zeros.size());
}

void DecoderModel::forward(const StepBatch& batch) {
  const bool is_decode =
      batch.max_query_len == 1 && static_cast<int>(batch.logit_rows.size()) == batch.num_tokens;
  const int num_tokens = padded_tokens(batch.num_tokens);
  is_decode&& num_tokens <= max_graph_tokens_ ? run_graph(batch, num_tokens) : run_eagerly(batch);
}

void DecoderModel::run_eagerly(const StepBatch& batch) {
  const Step step{inputs_.upload(batch), false, batch.has_random, batch.has_thresholds};
  plan_attention(batch);
  reserve_activations(step.arrays.num_tokens, step.arrays.num_rows);
  // This comes first, because sampler_.reserve below may free the memory that the tokens are in.
  const bool takes =
      std::any_of(batch.drawn_rows.begin(), batch.drawn_rows.end(), [](int row) { return row >= 0; });
  if (takes) sampler_.take_tokens(step.arrays.drawn_rows, step.arrays.token_ids, step.arrays.num_tokens);
  run_layers(step);
  const bool samples =
      std::any_of(batch.wants_logits.begin(), batch.wants_logits.end(), [](int wants) { return wants == 0; });
  if (!samples) return;
  sampler_.reserve(step.arrays.num_rows);
  sample(step);
}

void DecoderModel::sample(const Step& step) {
  sampler_.sample(logits(), step.arrays.num_rows);
  if (step.has_random) sampler_.draw(logits(), step.arrays.draws, step.arrays.num_rows, step.has_thresholds);
}

// Kernels read everything that differs between two steps of the same padded size from memory.
void DecoderModel::run_graph(const StepBatch& batch, int num_tokens) {
  const Step step{inputs_.upload_padded(batch, num_tokens), true, batch.has_random, batch.has_thresholds};
  plan_attention(batch);
  if (recording_ids() != graphs_ids_) {
    if (!graphs_.empty()) device_.synchronize();  // a graph may still be running
    graphs_.clear();
    graphs_ids_ = recording_ids();
  }
  GraphKey key = {num_tokens, batch.has_thresholds ? 2 : batch.has_random ? 1 : 0};
  for (std::size_t g = 0; g < batch.groups.size(); ++g) key[2 + g] = batch.groups[g].max_pages;
  std::unique_ptr<Graph>& graph = graphs_[key];
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
  std::vector<std::uint64_t> ids = {inputs_.num_reallocations(), sampler_.num_reallocations(),
                                    num_reallocations_};
  for (const auto& op : ops_) ids.push_back(op->recording_id());
  return ids;
}

void DecoderModel::prepare() {
  const std::vector<std::vector<std::int32_t>> steps = {
      {1}, {4}, {64}, {1, 64}, std::vector<std::int32_t>(32, 1)};
  device_.prepare([&] {
    for (std::vector<std::int32_t> query_len : steps) {
      for (std::int32_t& len : query_len) len = std::min(len, max_model_len_);
      run_eagerly(blank_step(query_len, plan_.cache, page_size_));
    }
  });
}

void DecoderModel::run_layers(const Step& step) {
  kernels_.gather(*weights_.embedding, step.arrays.token_ids, *activations_.residual, step.arrays.num_tokens,
                  config_.hidden_dim);
  for (std::size_t layer = 0; layer < plan_.layers.size(); ++layer) run_layer(step, layer);
  head(step);
}

// Attention and MLP leave what they add in `delta`; the next norm adds it to `residual`.
void DecoderModel::run_layer(const Step& step, std::size_t layer) {
  const LayerPlan& plan = plan_.layers[layer];
  const LayerWeights& w = weights_.layers[layer];
  const int num_tokens = step.arrays.num_tokens;
  const auto norm_behind = [&](const Buffer& weight) {
    kernels_.norm(weight, *activations_.delta, nullptr, *activations_.delta, num_tokens, config_.hidden_dim);
  };
  norm_into_hidden(*w.attention_norm, layer > 0, num_tokens);
  std::visit([&](const auto& part) { run_part(step, layer, part); }, plan.attention);
  if (plan.norms == NormPlacement::kBeforeAndBehind) norm_behind(*w.attention_out_norm);
  norm_into_hidden(*w.mlp_norm, true, num_tokens);
  std::visit([&](const auto& part) { run_part(step, layer, part); }, plan.mlp);
  if (plan.norms == NormPlacement::kBeforeAndBehind) norm_behind(*w.mlp_out_norm);
}

// residual += delta, if has_delta; hidden = norm(residual).
void DecoderModel::norm_into_hidden(const Buffer& weight, bool has_delta, int num_tokens) {
  kernels_.norm(weight, has_delta ? *activations_.delta : *activations_.residual,
                has_delta ? activations_.residual.get() : nullptr, *activations_.hidden, num_tokens,
                config_.hidden_dim);
}

void DecoderModel::plan_attention(const StepBatch& batch) {
  std::vector<std::int32_t> query_len(static_cast<std::size_t>(batch.num_seqs));
  for (std::size_t s = 0; s < query_len.size(); ++s)
    query_len[s] = batch.query_indptr[s + 1] - batch.query_indptr[s];
  const AttentionLengths lengths{query_len, std::span(batch.kv_len).first(query_len.size())};
  for (const auto& op : ops_) op->plan(lengths);
}

void DecoderModel::reserve_activations(int num_tokens, int num_rows) {
  bool is_new = false;
  const auto need = [&](std::unique_ptr<Buffer>& buffer, int dim) {
    is_new |= reserve(device_, buffer,
                      static_cast<std::size_t>(num_tokens) * static_cast<std::size_t>(dim) * elem());
  };
  need(activations_.hidden, config_.hidden_dim);
  need(activations_.residual, config_.hidden_dim);
  need(activations_.delta, config_.hidden_dim);
  need(activations_.qkv, qkv_dim());
  need(activations_.attention, config_.num_qo_heads * config_.head_dim);
  need(activations_.gate_up, 2 * config_.intermediate_dim);
  need(activations_.mlp, config_.intermediate_dim);
  is_new |= reserve(
      device_, activations_.logits,
      static_cast<std::size_t>(num_rows) * static_cast<std::size_t>(config_.vocab_size) * sizeof(float));
  num_reallocations_ += is_new ? 1 : 0;
}

void DecoderModel::run_part(const Step& step, std::size_t layer, const GroupedAttention& part) {
  const LayerWeights& w = weights_.layers[layer];
  const GroupArrays& pages = step.arrays.groups[static_cast<std::size_t>(plan_.layers[layer].cache.group)];
  const AttentionDesc& desc = part.desc;
  const Buffer& qkv = *activations_.qkv;
  const int num_tokens = step.arrays.num_tokens;
  const auto at = [&](int num_heads) {
    return qkv.data() + static_cast<std::size_t>(num_heads * desc.head_dim_qk) * elem();
  };
  const auto heads_at = [&](int first, int num) {
    return HeadRows{at(first), num_tokens, num, desc.head_dim_qk, qkv_dim()};
  };
  kernels_.linear(w.qkv, *activations_.hidden, qkv, num_tokens);
  if (w.q_norm != nullptr) kernels_.head_norm(*w.q_norm, heads_at(0, desc.num_qo_heads));
  if (w.k_norm != nullptr) kernels_.head_norm(*w.k_norm, heads_at(desc.num_qo_heads, desc.num_kv_heads));

  KvWriteTensors kv;
  kv.k = at(desc.num_qo_heads);
  kv.v = at(desc.num_qo_heads + desc.num_kv_heads);
  kv.kv_pool = pool_of(layer);
  kv.slot_mapping = pages.slot_mapping;
  kv.k_token_stride = kv.v_token_stride = qkv_dim();
  kv.num_tokens = num_tokens;
  if (part.rotates) {
    const HeadRows heads = heads_at(0, desc.num_qo_heads + desc.num_kv_heads);
    kernels_.rotate_and_write(heads, step.arrays.positions, cos_sin_->as<float>(), part, kv);
  } else {
    kernels_.write(part, kv);
  }

  AttentionTensors attention;
  attention.q = qkv.data();
  attention.o = activations_.attention->data();
  attention.kv_pool = pool_of(layer);
  attention.page_table = pages.page_table;
  attention.max_pages = pages.max_pages;
  attention.alibi_slopes = alibi_slopes_ != nullptr ? alibi_slopes_->as<float>() : nullptr;
  attention.sinks = w.sinks != nullptr ? w.sinks->as<float>() : nullptr;
  attention.q_token_stride = qkv_dim();
  attention.is_recorded = step.is_recorded;
  ops_[op_of_layer_[layer]]->run(attention);
  kernels_.linear(w.o, *activations_.attention, *activations_.delta, num_tokens);
}

void DecoderModel::run_part(const Step& step, std::size_t layer, const GatedMlp& part) {
  const LayerWeights& w = weights_.layers[layer];
  kernels_.linear(w.gate_up, *activations_.hidden, *activations_.gate_up, step.arrays.num_tokens);
  kernels_.activate(part, *activations_.gate_up, *activations_.mlp, step.arrays.num_tokens);
  kernels_.linear(w.down, *activations_.mlp, *activations_.delta, step.arrays.num_tokens);
}

// The final norm runs on all tokens, but the head, the largest matrix, only on rows whose logits are wanted.
void DecoderModel::head(const Step& step) {
  const int num_rows = step.arrays.num_rows;
  norm_into_hidden(*weights_.final_norm, true, step.arrays.num_tokens);
  kernels_.gather(*activations_.hidden, step.arrays.logit_rows, *activations_.delta, num_rows,
                  config_.hidden_dim);
  kernels_.linear(weights_.lm_head, *activations_.delta, *activations_.logits, num_rows, true);
}

}  // namespace quire
