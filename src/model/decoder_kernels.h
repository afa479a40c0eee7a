// The launches of a decoder except attention and the drawing of tokens: their parameters and costs.
#pragma once

#include "attention/attention.h"
#include "device/device.h"
#include "model/layer_plan.h"
#include "model/model_weights.h"

namespace quire {

// The heads of one kind (queries, keys or values) in rows that have several kinds. The heads of a token are
// contiguous; row_stride is the distance between tokens in elements.
struct HeadRows {
  void* data = nullptr;
  int num_tokens = 0, num_heads = 0, head_dim = 0;
  long row_stride = 0;
};

class DecoderKernels {
 public:
  // Tensors have elements of `dtype` unless a comment says otherwise.
  DecoderKernels(Device& device, DType dtype, double norm_eps, bool batch_invariant);

  // y[i] = table[ids[i]], rows of `dim`.
  void gather(const Buffer& table, const std::int32_t* ids, const Buffer& y, int num_rows, int dim);

  // y = norm(x) for rows of `dim` elements; with a residual: residual += x, y = norm(residual). y may be x.
  void norm(const Buffer& weight, const Buffer& x, const Buffer* residual, const Buffer& y, int num_rows,
            int dim);

  // Normalises each head in place.
  void head_norm(const Buffer& weight, const HeadRows& heads);

  // y = x W^T + bias; y in f32 with to_f32.
  void linear(const PackedLinear& weight, const Buffer& x, const Buffer& y, int num_rows,
              bool to_f32 = false);

  // Rotates the heads, queries and keys, in place; cos_sin as in RopeParams. Then writes keys and values to
  // their pages.
  void rotate_and_write(const HeadRows& heads, const std::int32_t* positions, const float* cos_sin,
                        const GroupedAttention& part, const KvWriteTensors& kv);

  // Only the write, for layers without rotary embedding.
  void write(const GroupedAttention& part, const KvWriteTensors& kv);

  // y = activation(gate) * up; a row of gate_up has gate first, then up.
  void activate(const GatedMlp& mlp, const Buffer& gate_up, const Buffer& y, int num_rows);

 private:
  double elem() const { return static_cast<double>(dtype_bytes(dtype_)); }

  Device& device_;
  const DType dtype_;
  const float norm_eps_;
  const bool batch_invariant_;
  const KernelHandle embedding_, norm_, linear_, linear_to_f32_, rope_, kv_write_, activation_;
};

}  // namespace quire
