// The elementwise and row-wise kernels of a decoder layer, and the embedding. One work item is one row.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {
namespace QUIRE_TARGET {

// Statistics in f32; the normalised value is rounded to E before the weight multiplies it, as the reference models do.
template <class E>
struct RmsNorm {
  static QUIRE_DEV void run(Program& program, const RmsNormParams& p) {
    const E* weight = static_cast<const E*>(p.weight);
    const int group = p.group > 1 ? p.group : 1;
    for_each_work(program, p.num_rows, [&](int row) {
      const long first = row / group, next = long{row % group} * p.dim;
      const E* x = static_cast<const E*>(p.x) + first * p.x_stride + next;
      E* y = static_cast<E*>(p.y) + first * p.y_stride + next;
      if (p.residual != nullptr) {
        E* residual = static_cast<E*>(p.residual) + first * p.residual_stride + next;
        map(p.dim, [&](auto i) { store(residual, i, load(x, i) + load(residual, i)); });
        x = residual;
      }
      const float square = reduce_sum(p.dim, [&](auto i) {
        const auto value = load(x, i);
        return value * value;
      });
      const float inverse = rsqrt(square / static_cast<float>(p.dim) + p.eps);
      map(p.dim, [&](auto i) { store(y, i, round_to<E>(load(x, i) * inverse) * load(weight, i)); });
    });
  }
};

template <class E>
struct Rope {
  static QUIRE_DEV void run(Program& program, const RopeParams& p) {
    const int half = p.head_dim / 2;
    for_each_work(program, p.num_tokens, [&](int token) {
      const float* cosine = p.cos_sin + long{p.positions[token]} * p.head_dim;
      const float* sine = cosine + half;
      for (int head = 0; head < p.num_heads; ++head) {
        E* a = static_cast<E*>(p.x) + token * p.token_stride + long{head} * p.head_dim;
        E* b = a + half;
        map(half, [&](auto i) {
          const auto x = load(a, i), y = load(b, i), c = load(cosine, i), s = load(sine, i);
          store(a, i, x * c - y * s);
          store(b, i, y * c + x * s);
        });
      }
    });
  }
};

template <class E>
struct Activation {
  static QUIRE_DEV void run(Program& program, const ActivationParams& p) {
    for_each_work(program, p.num_rows, [&](int row) {
      const E* gate = static_cast<const E*>(p.gate_up) + long{row} * 2 * p.dim;
      const E* up = gate + p.dim;
      E* y = static_cast<E*>(p.y) + long{row} * p.dim;
      switch (p.kind) {
        case ActivationKind::kSilu: return apply(p.dim, gate, up, y, [](auto x) { return silu(x); });
        case ActivationKind::kGelu: return apply(p.dim, gate, up, y, [](auto x) { return gelu(x); });
        case ActivationKind::kGeluTanh: return apply(p.dim, gate, up, y, [](auto x) { return gelu_tanh(x); });
      }
    });
  }

  template <class F>
  static QUIRE_DEV void apply(int dim, const E* gate, const E* up, E* y, const F& f) {
    map(dim, [&](auto i) { store(y, i, round_to<E>(f(load(gate, i))) * load(up, i)); });
  }
  template <class X>
  static QUIRE_DEV X silu(X x) {
    return x / (1.0f + exp2(x * -kLog2E));
  }
  template <class X>
  static QUIRE_DEV X gelu(X x) {
    return x * 0.5f * (1.0f + erf(x * 0.70710678f));
  }
  // 0.79788456 = sqrt(2 / pi)
  template <class X>
  static QUIRE_DEV X gelu_tanh(X x) {
    return x * 0.5f * (1.0f + tanh((x * x * x * 0.044715f + x) * 0.79788456f));
  }
};

template <class E>
struct Embedding {
  static QUIRE_DEV void run(Program& program, const EmbeddingParams& p) {
    for_each_work(program, p.num_rows, [&](int row) {
      const E* from = static_cast<const E*>(p.table) + long{p.ids[row]} * p.dim;
      E* to = static_cast<E*>(p.y) + long{row} * p.dim;
      map(p.dim, [&](auto i) { store(to, i, load(from, i)); });
    });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
