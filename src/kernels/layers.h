// The elementwise and row-wise kernels of a decoder layer, and the embedding. One work item is one row, or a
// piece of one.
#pragma once

#include "kernels/kv_write.h"

namespace quire {
namespace QUIRE_TARGET {

// Statistics are in f32; the normalised value is rounded to E before it is multiplied by the weight, as in
// the reference models. The sum with the residual is computed in both passes: a store in the first pass would
// keep the compiler from overlapping its loads.
template <class E>
struct RmsNorm {
  static QUIRE_DEV void run(Program& program, const RmsNormParams& p) {
    prefetch_row(static_cast<const E*>(p.weight), p.dim);
    for_each_work(program, p.num_rows, [&](int row) {
      p.residual != nullptr ? normalise<true>(p, row) : normalise<false>(p, row);
    });
  }

  template <bool has_residual>
  static QUIRE_DEV void normalise(const RmsNormParams& p, int row) {
    const int group = p.group > 1 ? p.group : 1;
    const long first = row / group, next = long{row % group} * p.dim;
    const E* x = static_cast<const E*>(p.x) + first * p.x_stride + next;
    const E* weight = static_cast<const E*>(p.weight);
    E* y = static_cast<E*>(p.y) + first * p.y_stride + next;
    E* residual = has_residual ? static_cast<E*>(p.residual) + first * p.residual_stride + next : nullptr;
    const auto value = [&](auto i) {
      if constexpr (has_residual)
        return round_to<E>(load(x, i) + load(residual, i));
      else
        return load(x, i);
    };
    const float square = reduce_sum(p.dim, [&](auto i) {
      const auto v = value(i);
      return v * v;
    });
    const float inverse = rsqrt(square / static_cast<float>(p.dim) + p.eps);
    map(p.dim, [&](auto i) {
      const auto v = value(i);
      if constexpr (has_residual) store(residual, i, v);
      store(y, i, round_to<E>(v * inverse) * load(weight, i));
    });
  }
};

template <class E>
struct Rope {
  static QUIRE_DEV void run(Program& program, const RopeParams& p) {
    for_each_work(program, p.num_tokens, [&](int token) {
      rotate(p, token);
      if (p.kv.num_tokens > 0) KvWrite<E>::write(p.kv, token);
    });
  }

  static QUIRE_DEV void rotate(const RopeParams& p, int token) {
    const int half = p.head_dim / 2;
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
  }
};

template <class E>
struct Activation {
  static QUIRE_DEV void run(Program& program, const ActivationParams& p) {
    const Pieces pieces = row_pieces(p.dim);
    for_each_work(program, p.num_rows * pieces.num, [&](int item) {
      const long row = item / pieces.num;
      const Range piece = pieces.at(item % pieces.num);
      const E* gate = static_cast<const E*>(p.gate_up) + row * 2 * p.dim + piece.begin;
      const E* up = gate + p.dim;
      E* y = static_cast<E*>(p.y) + row * p.dim + piece.begin;
      switch (p.kind) {
        case ActivationKind::kSilu:
          return apply(piece.size(), gate, up, y, [](auto x) { return silu(x); });
        case ActivationKind::kGelu:
          return apply(piece.size(), gate, up, y, [](auto x) { return gelu(x); });
        case ActivationKind::kGeluTanh:
          return apply(piece.size(), gate, up, y, [](auto x) { return gelu_tanh(x); });
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
    const Pieces pieces = row_pieces(p.dim);
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
