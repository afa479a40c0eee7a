#include "model/model_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>

#include "base/check.h"

namespace quire {
namespace {

constexpr std::int64_t kElemsAtOnce = 1 << 20;  // of a tensor that is converted on the host

class Loader {
 public:
  Loader(Device& device, const ModelConfig& config, TensorSource& source, const LoadProgress& progress)
      : device_(device), config_(config), source_(source), progress_(progress) {
    for (const WeightSpec& spec : weight_specs(config)) {
      specs_.emplace(std::pair(spec.layer, spec.role), spec);
      total_elems_ += num_elems(spec);
    }
  }

  ModelWeights load() {
    ModelWeights weights;
    weights.embedding = config_.scales_embedding
                            ? changed(-1, WeightRole::kEmbedding, config_.dtype, scaled_by_root(config_))
                            : plain(-1, WeightRole::kEmbedding);
    weights.final_norm = norm(-1, WeightRole::kFinalNorm);
    const bool tied = find(-1, WeightRole::kLmHead) == nullptr;
    weights.lm_head = packed(-1, {tied ? WeightRole::kEmbedding : WeightRole::kLmHead}, {});
    for (int layer = 0; layer < config_.num_layers; ++layer) {
      LayerWeights& w = weights.layers.emplace_back();
      w.attention_norm = norm(layer, WeightRole::kAttentionNorm);
      w.attention_out_norm = norm(layer, WeightRole::kAttentionOutNorm);
      w.mlp_norm = norm(layer, WeightRole::kMlpNorm);
      w.mlp_out_norm = norm(layer, WeightRole::kMlpOutNorm);
      w.q_norm = norm(layer, WeightRole::kQNorm);
      w.k_norm = norm(layer, WeightRole::kKNorm);
      w.sinks = changed(layer, WeightRole::kSinks, DType::kF32, [](float x) { return x; });
      w.qkv = packed(layer, {WeightRole::kQProj, WeightRole::kKProj, WeightRole::kVProj},
                     {WeightRole::kQBias, WeightRole::kKBias, WeightRole::kVBias});
      w.o = packed(layer, {WeightRole::kOProj}, {WeightRole::kOBias});
      w.gate_up = packed(layer, {WeightRole::kGateProj, WeightRole::kUpProj},
                         {WeightRole::kGateBias, WeightRole::kUpBias});
      w.down = packed(layer, {WeightRole::kDownProj}, {WeightRole::kDownBias});
    }
    return weights;
  }

 private:
  static std::int64_t num_elems(const WeightSpec& spec) {
    std::int64_t elems = 1;
    for (const std::int64_t extent : spec.shape) elems *= extent;
    return elems;
  }

  const WeightSpec* find(int layer, WeightRole role) const {
    const auto it = specs_.find({layer, role});
    return it == specs_.end() ? nullptr : &it->second;
  }

  void advance(std::int64_t elems) {
    done_elems_ += elems;
    if (progress_) progress_(std::min(1.0, double(done_elems_) / double(total_elems_)), "weights");
  }

  // Null if the model has no such tensor.
  std::unique_ptr<Buffer> plain(int layer, WeightRole role) {
    const WeightSpec* spec = find(layer, role);
    return spec == nullptr ? nullptr : stacked({spec});
  }

  std::unique_ptr<Buffer> norm(int layer, WeightRole role) {
    return config_.norm_adds_one ? changed(layer, role, config_.dtype, [](float x) { return 1.0f + x; })
                                 : plain(layer, role);
  }

  // Applies `change` to each element in f32 and stores it as `dtype`. Null if the model has no such tensor.
  std::unique_ptr<Buffer> changed(int layer, WeightRole role, DType dtype,
                                  const std::function<float(float)>& change) {
    const WeightSpec* spec = find(layer, role);
    if (spec == nullptr) return nullptr;
    const std::int64_t num_rows = spec->shape.size() == 1 ? 1 : spec->shape[0],
                       row_elems = spec->shape.back();
    const std::int64_t rows_at_once = std::max<std::int64_t>(1, kElemsAtOnce / row_elems);
    const std::size_t row_bytes = static_cast<std::size_t>(row_elems) * dtype_bytes(dtype);
    auto buffer = device_.allocate(static_cast<std::size_t>(num_rows) * row_bytes);
    std::vector<float> read;
    std::vector<std::byte> kept;
    for (std::int64_t r = 0; r < num_rows; r += rows_at_once) {
      const std::int64_t now = std::min(rows_at_once, num_rows - r);
      read.resize(static_cast<std::size_t>(now * row_elems));
      kept.resize(static_cast<std::size_t>(now) * row_bytes);
      source_.read_rows(*spec, r, now, DType::kF32, read.data());
      for (std::size_t i = 0; i < read.size(); ++i) {
        write_element(kept.data() + i * dtype_bytes(dtype), dtype, change(read[i]));
      }
      device_.copy_to_device(buffer->data() + static_cast<std::size_t>(r) * row_bytes, kept.data(),
                             kept.size());
    }
    advance(num_elems(*spec));
    return buffer;
  }

  // The factor is rounded to the dtype of the product, as in the reference models.
  static std::function<float(float)> scaled_by_root(const ModelConfig& config) {
    const float factor =
        rounded_to(config.dtype, static_cast<float>(std::sqrt(static_cast<double>(config.hidden_dim))));
    return [factor](float x) { return x * factor; };
  }

  std::unique_ptr<Buffer> stacked(const std::vector<const WeightSpec*>& specs) {
    const std::size_t elem = dtype_bytes(config_.dtype);
    std::size_t elems = 0;
    for (const WeightSpec* spec : specs) elems += static_cast<std::size_t>(num_elems(*spec));
    std::vector<std::byte> host(elems * elem);
    std::size_t offset = 0;
    for (const WeightSpec* spec : specs) {
      source_.read_rows(*spec, 0, spec->shape.size() == 1 ? 1 : spec->shape[0], config_.dtype,
                        host.data() + offset);
      offset += static_cast<std::size_t>(num_elems(*spec)) * elem;
      advance(num_elems(*spec));
    }
    auto buffer = device_.allocate(host.size());
    device_.copy_to_device(buffer->data(), host.data(), host.size());
    return buffer;
  }

  PackedLinear packed(int layer, const std::vector<WeightRole>& roles,
                      const std::vector<WeightRole>& bias_roles) {
    PackedLinear linear;
    std::vector<const WeightSpec*> parts, biases;
    for (const WeightRole role : roles) parts.push_back(find(layer, role));
    for (const WeightRole role : bias_roles) {
      if (find(layer, role) != nullptr) biases.push_back(find(layer, role));
    }
    QUIRE_CHECK_KIND(kInternal, biases.empty() || biases.size() == parts.size(),
                     "layer {}: {} biases for {} matrices", layer, biases.size(), parts.size());
    linear.in_dim = static_cast<int>(parts[0]->shape[1]);
    for (const WeightSpec* part : parts) linear.out_dim += static_cast<int>(part->shape[0]);
    linear.weight = pack(parts, linear.in_dim, linear.out_dim);
    if (!biases.empty()) linear.bias = stacked(biases);
    return linear;
  }

  // Reads a group of rows at a time, packs it on the host and copies it to the device. See device/layout.h.
  std::unique_ptr<Buffer> pack(const std::vector<const WeightSpec*>& parts, int in_dim, int out_dim) {
    constexpr int kGroup = WeightLayout::kGroup;
    const std::size_t elem = dtype_bytes(config_.dtype), row_bytes = static_cast<std::size_t>(in_dim) * elem;
    const auto layout = device_.weight_layout({config_.dtype}, out_dim, in_dim);
    const std::size_t group_bytes = static_cast<std::size_t>(layout->group_elems(kGroup)) * elem;
    auto buffer = device_.allocate(static_cast<std::size_t>(layout->elems()) * elem);
    std::vector<std::byte> rows(row_bytes * kGroup), group(group_bytes);
    std::size_t part = 0;
    std::int64_t row = 0;
    for (int col = 0; col < out_dim; col += kGroup) {
      const int num_cols = std::min(kGroup, out_dim - col);
      for (int filled = 0; filled < num_cols;) {
        const std::int64_t now = std::min<std::int64_t>(num_cols - filled, parts[part]->shape[0] - row);
        source_.read_rows(*parts[part], row, now, config_.dtype,
                          rows.data() + static_cast<std::size_t>(filled) * row_bytes);
        filled += static_cast<int>(now);
        row += now;
        if (row == parts[part]->shape[0]) {
          ++part;
          row = 0;
        }
      }
      layout->pack_group(rows.data(), num_cols, elem, group.data());
      device_.copy_to_device(buffer->data() + static_cast<std::size_t>(col / kGroup) * group_bytes,
                             group.data(), static_cast<std::size_t>(layout->group_elems(num_cols)) * elem);
      advance(std::int64_t{num_cols} * in_dim);
    }
    return buffer;
  }

  Device& device_;
  const ModelConfig& config_;
  TensorSource& source_;
  const LoadProgress& progress_;
  std::map<std::pair<int, WeightRole>, WeightSpec> specs_;
  std::int64_t total_elems_ = 0, done_elems_ = 0;
};

}  // namespace

ModelWeights load_model_weights(Device& device, const ModelConfig& config, TensorSource& source,
                                const LoadProgress& progress) {
  return Loader(device, config, source, progress).load();
}

}  // namespace quire
