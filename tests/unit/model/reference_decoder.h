// A decoder in float64, written to be read: the oracle for src/model. It shares the plan's descriptions of
// attention with it, and no code but the float64 attention.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "attention/reference.h"
#include "engine/philox.h"
#include "model/layer_plan.h"
#include "model/tensor_source.h"

namespace quire {

// Weights that depend on their tensor and place alone.
class HashedSource : public TensorSource {
 public:
  static double value(const WeightSpec& spec, std::int64_t idx) {
    const auto seed =
        static_cast<std::uint64_t>(spec.role) * 1000 + static_cast<std::uint64_t>(spec.layer + 1);
    const double uniform = 2.0 * random_uniform(seed, static_cast<std::uint64_t>(idx)) - 1.0;
    if (spec.role == WeightRole::kSinks) return static_cast<float>(2.0 * uniform);
    if (spec.shape.size() == 1)
      return static_cast<float>(spec.name.ends_with(".bias") ? 0.3 * uniform : 1.0 + 0.5 * uniform);
    const double gain =
        spec.role == WeightRole::kEmbedding ? std::sqrt(static_cast<double>(spec.shape.back())) : 1.6;
    return static_cast<float>(gain * uniform * std::sqrt(3.0 / static_cast<double>(spec.shape.back())));
  }

  void read_rows(const WeightSpec& spec, std::int64_t row_begin, std::int64_t num_rows, DType dtype,
                 void* out) override {
    const std::int64_t row_elems = spec.shape.back();
    for (std::int64_t i = 0; i < num_rows * row_elems; ++i) {
      write_element(static_cast<std::byte*>(out) + static_cast<std::size_t>(i) * dtype_bytes(dtype), dtype,
                    static_cast<float>(value(spec, row_begin * row_elems + i)));
    }
  }
};

class ReferenceDecoder {
 public:
  using Rows = std::vector<std::vector<double>>;

  ReferenceDecoder(const ModelConfig& config, const ModelPlan& plan)
      : config_(config), plan_(plan), specs_(weight_specs(config)) {}

  // [tokens.size(), vocab_size]
  Rows logits(const std::vector<std::int32_t>& tokens) const {
    Rows x;
    const double scale = config_.scales_embedding ? std::sqrt(static_cast<double>(config_.hidden_dim)) : 1.0;
    for (const std::int32_t token : tokens) {
      std::vector<double> row;
      for (int i = 0; i < config_.hidden_dim; ++i)
        row.push_back(scale * at(-1, WeightRole::kEmbedding, token * config_.hidden_dim + i));
      x.push_back(row);
    }
    for (int layer = 0; layer < config_.num_layers; ++layer) {
      add(x, behind(layer, WeightRole::kAttentionOutNorm,
                    attention(layer, norm(layer, WeightRole::kAttentionNorm, x))));
      add(x, behind(layer, WeightRole::kMlpOutNorm, mlp(layer, norm(layer, WeightRole::kMlpNorm, x))));
    }
    const WeightRole head = config_.tie_word_embeddings ? WeightRole::kEmbedding : WeightRole::kLmHead;
    Rows out = linear(-1, head, WeightRole::kLmHead, norm(-1, WeightRole::kFinalNorm, x));
    const double cap = config_.logits_soft_cap;
    for (auto& row : out) {
      for (double& value : row) value = cap > 0 ? cap * std::tanh(value / cap) : value;
    }
    return out;
  }

 private:
  const WeightSpec* find(int layer, WeightRole role) const {
    for (const WeightSpec& spec : specs_) {
      if (spec.layer == layer && spec.role == role) return &spec;
    }
    return nullptr;
  }
  // All elements of a tensor, made once.
  const std::vector<double>& tensor(const WeightSpec& spec) const {
    std::vector<double>& values = tensors_[{spec.layer, spec.role}];
    if (!values.empty()) return values;
    std::int64_t num_elems = 1;
    for (const std::int64_t extent : spec.shape) num_elems *= extent;
    for (std::int64_t i = 0; i < num_elems; ++i) values.push_back(HashedSource::value(spec, i));
    return values;
  }
  double at(int layer, WeightRole role, std::int64_t idx) const {
    return tensor(*find(layer, role))[static_cast<std::size_t>(idx)];
  }

  static void add(Rows& x, const Rows& y) {
    for (std::size_t r = 0; r < x.size(); ++r) {
      for (std::size_t i = 0; i < x[r].size(); ++i) x[r][i] += y[r][i];
    }
  }

  // Of rows, or of each head of a row.
  Rows norm(int layer, WeightRole role, Rows x, std::size_t begin = 0, std::size_t end = 0) const {
    const std::size_t dim = static_cast<std::size_t>(find(layer, role)->shape[0]);
    for (auto& row : x) {
      for (std::size_t first = begin; first < (end > 0 ? end : row.size()); first += dim) {
        double square = 0;
        for (std::size_t i = 0; i < dim; ++i) square += row[first + i] * row[first + i];
        const double inverse = 1.0 / std::sqrt(square / static_cast<double>(dim) + config_.rms_norm_eps);
        for (std::size_t i = 0; i < dim; ++i) {
          row[first + i] *=
              inverse * (at(layer, role, static_cast<std::int64_t>(i)) + (config_.norm_adds_one ? 1.0 : 0.0));
        }
      }
    }
    return x;
  }
  Rows behind(int layer, WeightRole role, const Rows& y) const {
    return find(layer, role) != nullptr ? norm(layer, role, y) : y;
  }

  Rows linear(int layer, WeightRole role, WeightRole bias, const Rows& x) const {
    const WeightSpec* bias_spec = bias == role ? nullptr : find(layer, bias);
    const std::vector<double>& weight = tensor(*find(layer, role));
    Rows y;
    for (const auto& row : x) {
      std::vector<double>& out = y.emplace_back();
      for (std::size_t o = 0; o < weight.size() / row.size(); ++o) {
        double sum = bias_spec != nullptr && bias_spec->shape.size() == 1 ? tensor(*bias_spec)[o] : 0.0;
        for (std::size_t i = 0; i < row.size(); ++i) sum += row[i] * weight[o * row.size() + i];
        out.push_back(sum);
      }
    }
    return y;
  }

  // The angle per position of pair i of a head's dimensions.
  double frequency(std::size_t i) const {
    const RopeConfig& rope = config_.rope;
    const double dim = config_.head_dim, turns = rope.original_max_position / (2 * 3.14159265358979323846);
    const double plain = std::pow(rope.theta, -2.0 * static_cast<double>(i) / dim);
    const double slow = plain / rope.factor;
    // How much of the plain frequency is left.
    const auto mixed = [&](double share) {
      return slow + std::min(1.0, std::max(0.0, share)) * (plain - slow);
    };
    switch (rope.type) {
      case RopeType::kDefault:
        return plain;
      case RopeType::kLinear:
        return slow;
      case RopeType::kLlama3:
        return mixed((turns * plain - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor));
      case RopeType::kYarn: {
        // The pair that turns so often over the original context.
        const auto pair_of = [&](double num) {
          return dim * std::log(turns / num) / (2 * std::log(rope.theta));
        };
        const double first = std::max(0.0, std::floor(pair_of(rope.beta_fast)));
        const double last = std::min(dim - 1, std::ceil(pair_of(rope.beta_slow)));
        return mixed(1.0 - (static_cast<double>(i) - first) / (last - first));
      }
    }
    return 0;
  }

  void rotate(Rows& x, int num_heads) const {
    const auto half = static_cast<std::size_t>(config_.head_dim / 2);
    const double gain =
        config_.rope.type == RopeType::kYarn ? 1.0 + 0.1 * std::log(config_.rope.factor) : 1.0;
    for (std::size_t position = 0; position < x.size(); ++position) {
      for (std::size_t h = 0; h < static_cast<std::size_t>(num_heads); ++h) {
        for (std::size_t i = 0; i < half; ++i) {
          double &a = x[position][2 * half * h + i], &b = x[position][2 * half * h + half + i];
          const double angle = static_cast<double>(position) * frequency(i), old_a = a;
          a = gain * (a * std::cos(angle) - b * std::sin(angle));
          b = gain * (b * std::cos(angle) + old_a * std::sin(angle));
        }
      }
    }
  }

  Rows attention(int layer, const Rows& x) const {
    const auto& part = std::get<GroupedAttention>(plan_.layers[static_cast<std::size_t>(layer)].attention);
    const int dim = config_.head_dim;
    Rows q = linear(layer, WeightRole::kQProj, WeightRole::kQBias, x),
         k = linear(layer, WeightRole::kKProj, WeightRole::kKBias, x);
    const Rows v = linear(layer, WeightRole::kVProj, WeightRole::kVBias, x);
    if (config_.qk_norm) q = norm(layer, WeightRole::kQNorm, q), k = norm(layer, WeightRole::kKNorm, k);
    if (part.rotates) rotate(q, config_.num_qo_heads), rotate(k, config_.num_kv_heads);
    ReferenceRequest request;
    request.query_len = request.kv_len = static_cast<int>(x.size());
    const auto element = [dim](const Rows& rows) {
      return [&rows, dim](int token, int head, int d) {
        return rows[static_cast<std::size_t>(token)][static_cast<std::size_t>(head * dim + d)];
      };
    };
    request.q = element(q);
    request.k = element(k);
    request.v = element(v);
    std::vector<double> slopes, sinks;
    for (int head = 0; head < config_.num_qo_heads; ++head) {
      if (config_.position == PositionEncoding::kAlibi)
        slopes.push_back(std::exp2(-8.0 * (head + 1) / config_.num_qo_heads));
      if (part.desc.has_sinks) sinks.push_back(at(layer, WeightRole::kSinks, head));
    }
    const ReferenceResult result = reference_attention(part.desc, request, slopes, sinks);
    Rows o;
    const auto width = static_cast<std::ptrdiff_t>(config_.num_qo_heads * dim);
    for (std::ptrdiff_t r = 0; r < static_cast<std::ptrdiff_t>(x.size()); ++r) {
      o.emplace_back(result.o.begin() + r * width, result.o.begin() + (r + 1) * width);
    }
    return linear(layer, WeightRole::kOProj, WeightRole::kOBias, o);
  }

  double activate(double x) const {
    switch (config_.activation) {
      case Activation::kSilu:
        return x / (1.0 + std::exp(-x));
      case Activation::kGelu:
        return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
      case Activation::kGeluTanh:
        return 0.5 * x *
               (1.0 + std::tanh(std::sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    }
    return 0;
  }

  Rows mlp(int layer, const Rows& x) const {
    Rows gate = linear(layer, WeightRole::kGateProj, WeightRole::kGateBias, x);
    const Rows up = linear(layer, WeightRole::kUpProj, WeightRole::kUpBias, x);
    for (std::size_t r = 0; r < gate.size(); ++r) {
      for (std::size_t i = 0; i < gate[r].size(); ++i) gate[r][i] = activate(gate[r][i]) * up[r][i];
    }
    return linear(layer, WeightRole::kDownProj, WeightRole::kDownBias, gate);
  }

  const ModelConfig& config_;
  const ModelPlan& plan_;
  const std::vector<WeightSpec> specs_;
  mutable std::map<std::pair<int, WeightRole>, std::vector<double>> tensors_;
};

}  // namespace quire
