// The elementwise and row-wise kernels of a decoder layer, and the embedding. One work item is one row, or a piece of one.
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
    prefetch_row(weight, p.dim);
    for_each_work(program, p.num_rows, [&](int row) {
      const long first = row / group, next = long{row % group} * p.dim;
      const E* x = static_cast<const E*>(p.x) + first * p.x_stride + next;
      E* y = static_cast<E*>(p.y) + first * p.y_stride + next;
      float square = 0;
      if (p.residual != nullptr) {
        E* residual = static_cast<E*>(p.residual) + first * p.residual_stride + next;
        square = reduce_sum(p.dim, [&](auto i) {
          const auto value = round_to<E>(load(x, i) + load(residual, i));
          store(residual, i, value);
          return value * value;
        });
        x = residual;
      } else {
        square = reduce_sum(p.dim, [&](auto i) {
          const auto value = load(x, i);
          return value * value;
        });
      }
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
      E* heads = static_cast<E*>(p.x) + token * p.token_stride;
      map(p.num_heads, half, [&](int head, auto i) {
        E* a = heads + long{head} * p.head_dim;
        E* b = a + half;
        const auto x = load(a, i), y = load(b, i), c = load(cosine, i), s = load(sine, i);
        store(a, i, x * c - y * s);
        store(b, i, y * c + x * s);
      });
    });
  }
};

template <class E>
struct Activation {
  static QUIRE_DEV void run(Program& program, const ActivationParams& p) {
    const Cut pieces = cut_row(p.dim);
    for_each_work(program, p.num_rows * pieces.num, [&](int item) {
      const long row = item / pieces.num;
      const Range piece = pieces.at(item % pieces.num);
      const E* gate = static_cast<const E*>(p.gate_up) + row * 2 * p.dim + piece.begin;
      const E* up = gate + p.dim;
      E* y = static_cast<E*>(p.y) + row * p.dim + piece.begin;
      switch (p.kind) {
        case ActivationKind::kSilu: return apply(piece.size(), gate, up, y, [](auto x) { return silu(x); });
        case ActivationKind::kGelu: return apply(piece.size(), gate, up, y, [](auto x) { return gelu(x); });
        case ActivationKind::kGeluTanh: return apply(piece.size(), gate, up, y, [](auto x) { return gelu_tanh(x); });
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
    const Cut pieces = cut_row(p.dim);
    for_each_work(program, p.num_rows * pieces.num, [&](int item) {
      const long row = item / pieces.num;
      const Range piece = pieces.at(item % pieces.num);
      const E* from = static_cast<const E*>(p.table) + long{p.ids[row]} * p.dim + piece.begin;
      E* to = static_cast<E*>(p.y) + row * p.dim + piece.begin;
      map(piece.size(), [&](auto i) { store(to, i, load(from, i)); });
    });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
