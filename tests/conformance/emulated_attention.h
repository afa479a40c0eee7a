// Attention on an emulated chip, with as much in as few small batches as possible.
#pragma once

#include <vector>

#include "attention/attention.h"
#include "selftest/paged_problem.h"

namespace quire {

// Many and few rows, keys in several parts, several requests for each program, a tile that nobody fills and a
// ring that goes round.
inline std::vector<AttentionCase> attention_cases(DType dtype) {
  AttentionCase c;
  c.desc.dtype = dtype;
  c.desc.num_qo_heads = 4;
  c.desc.num_kv_heads = 2;
  c.desc.head_dim_qk = c.desc.head_dim_vo = 64;
  c.desc.page_size = 16;
  c.desc.sm_scale = default_sm_scale(64);
  c.desc.causal = true;
  c.query_len = {70, 1, 3, 1};
  c.kv_len = dtype == DType::kF32 ? std::vector<std::int32_t>{150, 300, 90, 5}
                                  : std::vector<std::int32_t>{470, 900, 90, 5};
  AttentionCase without_keys = c;
  without_keys.desc.causal = false;
  without_keys.query_len = {2, 40, 3, 70, 1};
  without_keys.kv_len = {0, 0, 120, 0, 40};
  AttentionCase invariant = c;
  invariant.desc.batch_invariant = true;
  invariant.query_len = {9, 1};
  invariant.kv_len = {200, c.kv_len[1]};
  return {c, invariant, without_keys};
}

inline void run_case(Device& device, const AttentionCase& c, Comparison& found) {
  Random random(5);
  AttentionData data = make_attention_data(c, random);
  const PagedProblem problem(device, c, std::move(data), random);
  const auto op = choose_backend("unified", c.desc, device).backend->make(device, c.desc);
  const std::vector<PagedProblem::Part> parts = problem.all_parts();
  problem.compare(problem.run(*op, parts, found), parts, probs_dtype(device, c.desc.dtype), found);
}

inline void run_attention(Device& device, DType dtype, Comparison& found) {
  for (const AttentionCase& c : attention_cases(dtype)) run_case(device, c, found);
}

}  // namespace quire
