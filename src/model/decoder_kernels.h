// The launches that a decoder is made of, beside attention and the drawing of tokens: their parameters and
// what they cost.
#pragma once

#include "attention/attention.h"
#include "device/device.h"
#include "model/layer_plan.h"
#include "model/model_weights.h"

namespace quire {

// Heads of one kind inside rows of several kinds: those of a token lie together, tokens row_stride elements
// apart.
struct HeadRows {
  void* data = nullptr;
  int num_tokens = 0, num_heads = 0, head_dim = 0;
  long row_stride = 0;
};

class DecoderKernels {
 public:
  // All tensors are of `dtype` where nothing else is said.
  DecoderKernels(Device& device, DType dtype, double norm_eps, bool batch_invariant);

  // y[i] = table[ids[i]], rows of `dim`.
  void gather(const Buffer& table, const std::int32_t* ids, const Buffer& y, int num_rows, int dim);

  // y = norm(x), rows of `dim`; with a residual y = norm(residual += x). y may be x.
  void norm(const Buffer& weight, const Buffer& x, const Buffer* residual, const Buffer& y, int num_rows,
            int dim);

  // The norm of each head, in place.
  void head_norm(const Buffer& weight, const HeadRows& heads);

  // y = x W^T + bias; y in f32 with to_f32.
  void linear(const PackedLinear& weight, const Buffer& x, const Buffer& y, int num_rows,
              bool to_f32 = false);

  // Rotates the heads, queries and keys, in place; cos_sin as in RopeParams. Then writes keys and values to
  // their pages.
  void rotate_and_write(const HeadRows& heads, const std::int32_t* positions, const float* cos_sin,
                        const GroupedAttention& part, const KvWriteTensors& kv);

  // The write alone, where nothing is rotated.
  void write(const GroupedAttention& part, const KvWriteTensors& kv);

  // y = activation(gate) * up, of rows of gate, then up.
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
