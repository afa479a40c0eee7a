// The attention operator: an AttentionDesc says what a model needs, choose_backend finds a backend that can
// do it, plan(lengths) prepares a batch, and run(tensors) launches it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device/device.h"
#include "kernels/params.h"
#include "tuning/attention_target.h"

namespace quire {

// The problem, fixed for the life of an operator. Sizes are counts, head sizes are elements.
struct AttentionDesc {
  int num_qo_heads = 0;
  int num_kv_heads = 0;        // divides num_qo_heads
  int head_dim_qk = 0;         // 1 … 256
  int head_dim_vo = 0;         // 1 … 256
  int page_size = 16;          // tokens, >= 1
  DType dtype = DType::kBF16;  // of q, k, v, o and the cache
  float sm_scale = 0;          // multiplies q k^T; finite; see default_sm_scale
  bool causal = true;          // bottom-right aligned: key <= position
  int window = 0;  // keys seen to the left, itself included (and to the right if not causal); 0 = all
  float logits_soft_cap = 0;  // cap * tanh(score / cap); 0 = off
  PositionBias position_bias = PositionBias::kNone;
  bool has_sinks = false;        // a query head has one more score, without a value
  bool batch_invariant = false;  // a token's bits do not depend on batch mates, chunking or threads

  // Layers with equal descs can share an operator.
  bool operator==(const AttentionDesc&) const = default;
};

// 1 / sqrt(head_dim_qk).
float default_sm_scale(int head_dim_qk);

// Throws Error{kInvalidArgument} that names field, value and range.
void check_desc(const AttentionDesc& desc);

Visibility visibility_of(const AttentionDesc& desc);
// The ScoreMods that the desc needs.
unsigned score_mods_of(const AttentionDesc& desc);
AttentionVariant variant_of(const AttentionDesc& desc);

// Lengths of one batch, in tokens, on the host. Requests with query_len 0 are padding.
struct AttentionLengths {
  std::span<const std::int32_t> query_len;  // [num_seqs] new tokens; contiguous in q in this order
  std::span<const std::int32_t>
      kv_len;  // [num_seqs] tokens in the cache once the new ones are written; >= query_len if causal
};

// Tensors of one run: device pointers; strides in elements.
struct AttentionTensors {
  const void* q = nullptr;  // [num_tokens, num_qo_heads, head_dim_qk]
  void* o = nullptr;        // [num_tokens, num_qo_heads, head_dim_vo]
  float* lse =
      nullptr;  // [num_tokens, num_qo_heads] natural log, -inf for an empty row, sinks included; or null
  const void* kv_pool = nullptr;  // [num_pages] pages, see KvLayout
  // [num_seqs, max_pages]. Only copies may write it, no kernel, because a launch may read it before the
  // launch ahead of it has ended. Entries after the last page of a request are not read.
  const std::int32_t* page_table = nullptr;
  int max_pages = 0;
  const float* alibi_slopes = nullptr;          // [num_qo_heads] if the desc has a position bias
  const float* sinks = nullptr;                 // [num_qo_heads] if the desc has sinks
  long q_token_stride = 0, o_token_stride = 0;  // 0 = contiguous
  bool is_recorded = false;  // into a graph that is replayed for other plans: the launch reports no cost
};

// Where keys and values are in a pool of pages: [num_pages, num_kv_heads, K part then V part].
struct KvLayout {
  std::shared_ptr<const PageLayout> page;  // of one head
  long v_offset;                           // elements from the K part of a head to its V part
  long head_stride;                        // elements
  long page_stride;                        // elements
  std::size_t page_bytes;
  long k_index(long page_idx, int head, int token, int dim) const {
    return page_idx * page_stride + head * head_stride + page->k_offset(token, dim);
  }
  long v_index(long page_idx, int head, int token, int dim) const {
    return page_idx * page_stride + head * head_stride + v_offset + page->v_offset(token, dim);
  }
};
KvLayout kv_layout(const Device& device, const AttentionDesc& desc);

// Writes new keys and values [num_tokens, num_kv_heads, head_dim] to their slots; a negative slot writes
// nothing.
struct KvWriteTensors {
  const void* k = nullptr;
  const void* v = nullptr;
  void* kv_pool = nullptr;
  const std::int64_t* slot_mapping = nullptr;   // [num_tokens] page * page_size + offset
  long k_token_stride = 0, v_token_stride = 0;  // 0 = contiguous
  int num_tokens = 0;
};
void write_kv(Device& device, const AttentionDesc& desc, const KvWriteTensors& tensors);
// The parameters of this write for a kernel that does it together with something else.
KvWriteParams kv_write_params(const KvLayout& layout, const AttentionDesc& desc,
                              const KvWriteTensors& tensors);

// The least that a batch costs: K and V of visible pages are read once for each KV head, q is read and o is
// written once, and each pair of a query and a key that it sees takes 2 (head_dim_qk + head_dim_vo) flops.
LaunchCost attention_cost(const AttentionDesc& desc, const AttentionLengths& lengths);

// One attention operator on one device, for one desc.
class AttentionOp {
 public:
  virtual ~AttentionOp() = default;
  virtual const char* backend() const = 0;

  // Host arithmetic and one small copy; may allocate, but launches no kernel. Throws Error{kInvalidArgument}
  // on bad lengths.
  virtual void plan(const AttentionLengths& lengths) = 0;

  // Launches the last plan; does not allocate or wait, and does not depend on lengths.
  virtual void run(const AttentionTensors& tensors) = 0;

  // Allocates for plans of `num_seqs` requests with one new token each. From then on run() always starts as
  // many programs as the device runs at a time, even for small plans, so that a recorded run() also fits
  // later plans.
  virtual void reserve(int num_seqs) = 0;

  // A recorded run() can be replayed for other plans as long as this number is the same as when it was
  // recorded. 0: run() cannot be recorded.
  virtual std::uint64_t recording_id() const = 0;

  virtual LaunchCost cost() const = 0;  // of one run of what was planned
};

// One thing that a desc can ask for. A backend answers yes or no for each entry of the list, from which the
// support matrix is made.
struct AttentionFeature {
  const char* name;
  bool (*wanted)(const AttentionDesc& desc);
  bool (*in_kernel)(const KernelAbilities& abilities);  // whether a kernel with these abilities computes it
};
std::span<const AttentionFeature> attention_features();

class AttentionBackend {
 public:
  virtual ~AttentionBackend() = default;
  virtual const char* name() const = 0;
  virtual bool supports(const AttentionFeature& feature, const Device& device) const = 0;
  // Other reasons why it cannot do this (device, sizes), as text for people; empty if there are none.
  virtual std::string why_not(const AttentionDesc& desc, const Device& device) const = 0;
  virtual std::unique_ptr<AttentionOp> make(Device& device, const AttentionDesc& desc) const = 0;
};

// In order of preference: unified, reference.
const std::vector<std::unique_ptr<AttentionBackend>>& attention_backends();

struct BackendChoice {
  const AttentionBackend* backend = nullptr;
  std::vector<std::string> reasons;  // why each backend before it was not taken, and why it was
};

// With the name "" or "auto" chooses the first backend that can compute the desc. Throws Error{kUnsupported}
// that lists what is missing, and Error{kNotFound} for an unknown name.
BackendChoice choose_backend(const std::string& name, const AttentionDesc& desc, const Device& device);

}  // namespace quire
