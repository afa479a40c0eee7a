#include "model/decoder_kernels.h"

#include "kernels/params.h"

namespace quire {

DecoderKernels::DecoderKernels(Device& device, DType dtype, double norm_eps, bool batch_invariant)
    : device_(device),
      dtype_(dtype),
      norm_eps_(static_cast<float>(norm_eps)),
      batch_invariant_(batch_invariant),
      embedding_(device.resolve(RowVariant{KernelName::kEmbedding, dtype})),
      norm_(device.resolve(RowVariant{KernelName::kRmsNorm, dtype})),
      linear_(device.resolve(plain_linear(dtype, dtype))),
      linear_to_f32_(device.resolve(plain_linear(dtype, DType::kF32))),
      rope_(device.resolve(RowVariant{KernelName::kRope, dtype})),
      kv_write_(device.resolve(RowVariant{KernelName::kKvWrite, dtype})),
      activation_(device.resolve(RowVariant{KernelName::kActivation, dtype})) {}

void DecoderKernels::gather(const Buffer& table, const std::int32_t* ids, const Buffer& y, int num_rows,
                            int dim) {
  EmbeddingParams p{};
  p.table = table.data();
  p.ids = ids;
  p.y = y.data();
  p.num_rows = num_rows;
  p.dim = dim;
  device_.run(embedding_, p, num_rows, {2.0 * num_rows * dim * elem(), 0});
}

void DecoderKernels::norm(const Buffer& weight, const Buffer& x, const Buffer* residual, const Buffer& y,
                          int num_rows, int dim) {
  RmsNormParams p{};
  p.x = x.data();
  p.residual = residual != nullptr ? residual->data() : nullptr;
  p.weight = weight.data();
  p.y = y.data();
  p.x_stride = p.y_stride = p.residual_stride = dim;
  p.num_rows = num_rows;
  p.dim = dim;
  p.eps = norm_eps_;
  device_.run(norm_, p, num_rows, {(residual != nullptr ? 4.0 : 2.0) * num_rows * dim * elem(), 0});
}

void DecoderKernels::head_norm(const Buffer& weight, const HeadRows& heads) {
  RmsNormParams p{};
  p.x = p.y = heads.data;
  p.weight = weight.data();
  p.x_stride = p.y_stride = heads.row_stride;
  p.num_rows = heads.num_tokens * heads.num_heads;
  p.dim = heads.head_dim;
  p.group = heads.num_heads;
  p.eps = norm_eps_;
  device_.run(norm_, p, p.num_rows, {2.0 * p.num_rows * p.dim * elem(), 0});
}

void DecoderKernels::linear(const PackedLinear& weight, const Buffer& x, const Buffer& y, int num_rows,
                            bool to_f32) {
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
  p.batch_invariant = batch_invariant_ ? 1 : 0;
  const double in = weight.in_dim, out = weight.out_dim, rows = num_rows;
  device_.run(to_f32 ? linear_to_f32_ : linear_, p, num_rows,
              {(in * out + rows * (in + out)) * elem(), 2 * in * out * rows});
}

void DecoderKernels::rotate_and_write(const HeadRows& heads, const std::int32_t* positions,
                                      const float* cos_sin, const GroupedAttention& part,
                                      const KvWriteTensors& kv) {
  RopeParams p{};
  p.x = heads.data;
  p.positions = positions;
  p.cos_sin = cos_sin;
  p.token_stride = heads.row_stride;
  p.num_tokens = heads.num_tokens;
  p.num_heads = heads.num_heads;
  p.head_dim = heads.head_dim;
  p.kv = kv_write_params(part.layout, part.desc, kv);
  const double heads_moved = heads.num_heads + 2.0 * part.desc.num_kv_heads;
  device_.run(rope_, p, heads.num_tokens,
              {2.0 * heads.num_tokens * heads_moved * heads.head_dim * elem(), 0});
}

void DecoderKernels::write(const GroupedAttention& part, const KvWriteTensors& kv) {
  const KvWriteParams p = kv_write_params(part.layout, part.desc, kv);
  const double elems =
      1.0 * kv.num_tokens * part.desc.num_kv_heads * (part.desc.head_dim_qk + part.desc.head_dim_vo);
  device_.run(kv_write_, p, kv.num_tokens, {2 * elems * elem(), 0});
}

void DecoderKernels::activate(const GatedMlp& mlp, const Buffer& gate_up, const Buffer& y, int num_rows) {
  ActivationParams p{};
  p.gate_up = gate_up.data();
  p.y = y.data();
  p.num_rows = num_rows;
  p.dim = mlp.dim;
  p.kind = mlp.activation;
  device_.run(activation_, p, num_rows, {3.0 * num_rows * p.dim * elem(), 0});
}

}  // namespace quire
