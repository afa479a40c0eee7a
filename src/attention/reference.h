// The float64 oracle of attention, written to be read. It shares no code with the kernels or the planner.
#pragma once

#include <functional>
#include <vector>

#include "attention/attention.h"

namespace quire {

// One request: functions that return elements as double.
struct ReferenceRequest {
  int query_len = 0, kv_len = 0;
  std::function<double(int token, int head, int dim)> q;  // token in [0, query_len)
  std::function<double(int key, int kv_head, int dim)> k,
      v;  // key in [0, kv_len); asked only for visible keys
};

struct ReferenceResult {
  std::vector<double> o;    // [query_len, num_qo_heads, head_dim_vo]
  std::vector<double> lse;  // [query_len, num_qo_heads] natural, -inf for an empty row
};

// Keys [begin, end) that the query token at absolute position `position` (kv_len - query_len + token) sees.
struct VisibleKeys {
  int begin, end;
};
VisibleKeys reference_visible_keys(const AttentionDesc& desc, int position, int kv_len);

// slopes, sinks: [num_qo_heads] where the desc asks for them, else empty.
ReferenceResult reference_attention(const AttentionDesc& desc, const ReferenceRequest& request,
                                    const std::vector<double>& slopes, const std::vector<double>& sinks);

// The same computation in f32, whose error is the yardstick for kernels. Probabilities are rounded to
// `probs_dtype` before they are multiplied with V, as in kernels; the output is not rounded.
ReferenceResult f32_attention(const AttentionDesc& desc, const ReferenceRequest& request,
                              const std::vector<double>& slopes, const std::vector<double>& sinks,
                              DType probs_dtype);

}  // namespace quire
