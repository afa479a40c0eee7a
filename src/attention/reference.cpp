#include "attention/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace quire {

VisibleKeys reference_visible_keys(const AttentionDesc& desc, int position, int kv_len) {
  long begin = 0, end = kv_len;
  if (desc.causal) end = std::min(end, long{position} + 1);
  if (desc.window > 0) {
    begin = std::max(begin, long{position} - desc.window + 1);
    if (!desc.causal) end = std::min(end, long{position} + desc.window);
  }
  if (end <= begin) return {0, 0};
  return {static_cast<int>(begin), static_cast<int>(end)};
}

namespace {

double round_prob(double p, DType) { return p; }
float round_prob(float p, DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return p;
    case DType::kF16:
      return f16_to_f32(f32_to_f16(p));
    case DType::kBF16:
      return bf16_to_f32(f32_to_bf16(p));
  }
  return p;
}

// The elements of one KV head of one request, gathered once. K is transposed, so that both inner loops below
// read consecutive memory.
template <class Real>
struct GatheredHead {
  int first_key, num_keys;
  std::vector<Real> k;  // [head_dim_qk, num_keys]
  std::vector<Real> v;  // [num_keys, head_dim_vo]
};

template <class Real>
GatheredHead<Real> gather(const AttentionDesc& desc, const ReferenceRequest& r, VisibleKeys keys,
                          int kv_head) {
  GatheredHead<Real> head{keys.begin, keys.end - keys.begin, {}, {}};
  head.k.resize(static_cast<std::size_t>(desc.head_dim_qk) * head.num_keys);
  head.v.resize(static_cast<std::size_t>(head.num_keys) * desc.head_dim_vo);
  for (int key = 0; key < head.num_keys; ++key) {
    for (int d = 0; d < desc.head_dim_qk; ++d) {
      head.k[static_cast<std::size_t>(d) * head.num_keys + key] =
          static_cast<Real>(r.k(keys.begin + key, kv_head, d));
    }
    for (int d = 0; d < desc.head_dim_vo; ++d) {
      head.v[static_cast<std::size_t>(key) * desc.head_dim_vo + d] =
          static_cast<Real>(r.v(keys.begin + key, kv_head, d));
    }
  }
  return head;
}

// The working memory for one query token and head.
template <class Real>
struct Query {
  std::vector<Real> q;  // [head_dim_qk]
  int position;
  VisibleKeys keys;
  Real slope;
  bool has_sink;
  Real sink;
};

// Scores of the visible keys: scale, then soft cap, then position bias. Invisible keys have no score at all.
template <class Real>
std::vector<Real> score(const AttentionDesc& desc, const GatheredHead<Real>& head, const Query<Real>& query) {
  const int num_keys = query.keys.end - query.keys.begin;
  std::vector<Real> scores(static_cast<std::size_t>(num_keys));
  for (int d = 0; d < desc.head_dim_qk; ++d) {
    const Real* k =
        head.k.data() + static_cast<std::size_t>(d) * head.num_keys + (query.keys.begin - head.first_key);
    for (int i = 0; i < num_keys; ++i) scores[i] += query.q[d] * k[i];
  }
  const Real cap = desc.logits_soft_cap;
  for (int i = 0; i < num_keys; ++i) {
    const long distance = long{query.position} - (query.keys.begin + i);
    Real s = scores[i] * desc.sm_scale;
    if (cap > 0) s = cap * std::tanh(s / cap);
    if (desc.position_bias == PositionBias::kAlibi) s -= query.slope * static_cast<Real>(distance);
    if (desc.position_bias == PositionBias::kAlibiSqrt && distance > 0) {
      s -= query.slope * std::sqrt(static_cast<Real>(distance));
    }
    scores[i] = s;
  }
  return scores;
}

// o [head_dim_vo] zero on entry; returns lse.
template <class Real>
double attend(const AttentionDesc& desc, const GatheredHead<Real>& head, const Query<Real>& query,
              DType probs_dtype, double* o) {
  const std::vector<Real> scores = score(desc, head, query);
  Real most = query.has_sink ? query.sink : -std::numeric_limits<Real>::infinity();
  for (const Real s : scores) most = std::max(most, s);
  if (most == -std::numeric_limits<Real>::infinity()) return most;
  Real denominator = query.has_sink ? std::exp(query.sink - most) : Real{0};
  std::vector<Real> sum(static_cast<std::size_t>(desc.head_dim_vo));
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const Real p = std::exp(scores[i] - most);
    denominator += p;
    const Real rounded = round_prob(p, probs_dtype);
    const std::size_t row = static_cast<std::size_t>(query.keys.begin - head.first_key) + i;
    const Real* v = head.v.data() + row * sum.size();
    for (std::size_t d = 0; d < sum.size(); ++d) sum[d] += rounded * v[d];
  }
  for (std::size_t d = 0; d < sum.size(); ++d) o[d] = sum[d] / denominator;
  return most + std::log(denominator);
}

template <class Real>
Query<Real> make_query(const AttentionDesc& desc, const ReferenceRequest& r, int token, int qo_head) {
  Query<Real> query{};
  for (int d = 0; d < desc.head_dim_qk; ++d) query.q.push_back(static_cast<Real>(r.q(token, qo_head, d)));
  query.position = r.kv_len - r.query_len + token;
  query.keys = reference_visible_keys(desc, query.position, r.kv_len);
  return query;
}

// The keys that at least one token of the request sees. Positions are consecutive, so that their ranges have
// no gaps.
VisibleKeys keys_of_any(const AttentionDesc& desc, const ReferenceRequest& r) {
  VisibleKeys all{0, 0};
  for (int token = 0; token < r.query_len; ++token) {
    const VisibleKeys keys = reference_visible_keys(desc, r.kv_len - r.query_len + token, r.kv_len);
    if (keys.end == keys.begin) continue;
    all = all.end == all.begin ? keys
                               : VisibleKeys{std::min(all.begin, keys.begin), std::max(all.end, keys.end)};
  }
  return all;
}

template <class Real>
ReferenceResult attention(const AttentionDesc& desc, const ReferenceRequest& r,
                          const std::vector<double>& slopes, const std::vector<double>& sinks,
                          DType probs_dtype) {
  const std::size_t num_rows = static_cast<std::size_t>(r.query_len) * desc.num_qo_heads;
  ReferenceResult result{std::vector<double>(num_rows * desc.head_dim_vo), std::vector<double>(num_rows)};
  const VisibleKeys keys = keys_of_any(desc, r);
  const int group_size = desc.num_qo_heads / desc.num_kv_heads;
  for (int kv_head = 0; kv_head < desc.num_kv_heads; ++kv_head) {
    const GatheredHead<Real> head = gather<Real>(desc, r, keys, kv_head);
    for (int qo_head = kv_head * group_size; qo_head < (kv_head + 1) * group_size; ++qo_head) {
      for (int token = 0; token < r.query_len; ++token) {
        Query<Real> query = make_query<Real>(desc, r, token, qo_head);
        if (desc.position_bias != PositionBias::kNone) query.slope = static_cast<Real>(slopes.at(qo_head));
        query.has_sink = desc.has_sinks;
        if (desc.has_sinks) query.sink = static_cast<Real>(sinks.at(qo_head));
        const std::size_t row = static_cast<std::size_t>(token) * desc.num_qo_heads + qo_head;
        result.lse[row] = attend(desc, head, query, probs_dtype, result.o.data() + row * desc.head_dim_vo);
      }
    }
  }
  return result;
}

}  // namespace

ReferenceResult reference_attention(const AttentionDesc& desc, const ReferenceRequest& request,
                                    const std::vector<double>& slopes, const std::vector<double>& sinks) {
  return attention<double>(desc, request, slopes, sinks, DType::kF32);
}

ReferenceResult f32_attention(const AttentionDesc& desc, const ReferenceRequest& request,
                              const std::vector<double>& slopes, const std::vector<double>& sinks,
                              DType probs_dtype) {
  return attention<float>(desc, request, slopes, sinks, probs_dtype);
}

}  // namespace quire
