#include "attention/attention.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace quire {

float default_sm_scale(int head_dim_qk) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim_qk)));
}

void check_desc(const AttentionDesc& d) {
  QUIRE_CHECK(d.num_kv_heads >= 1 && d.num_kv_heads <= 65536, "num_kv_heads must be 1 to 65536, got {}",
              d.num_kv_heads);
  QUIRE_CHECK(d.num_qo_heads >= 1 && d.num_qo_heads <= 65536 && d.num_qo_heads % d.num_kv_heads == 0,
              "num_qo_heads must be a multiple of num_kv_heads ({}), got {}", d.num_kv_heads, d.num_qo_heads);
  QUIRE_CHECK(d.head_dim_qk >= 1 && d.head_dim_qk <= kMaxHeadShape.qk, "head_dim_qk must be 1 to {}, got {}",
              kMaxHeadShape.qk, d.head_dim_qk);
  QUIRE_CHECK(d.head_dim_vo >= 1 && d.head_dim_vo <= kMaxHeadShape.vo, "head_dim_vo must be 1 to {}, got {}",
              kMaxHeadShape.vo, d.head_dim_vo);
  QUIRE_CHECK(d.page_size >= 1 && d.page_size <= 65536, "page_size must be 1 to 65536 tokens, got {}",
              d.page_size);
  QUIRE_CHECK(std::isfinite(d.sm_scale), "sm_scale must be finite, got {}", d.sm_scale);
  QUIRE_CHECK(d.window >= 0, "window must be 0 (all keys) or more, got {}", d.window);
  QUIRE_CHECK(std::isfinite(d.logits_soft_cap) && d.logits_soft_cap >= 0,
              "logits_soft_cap must be 0 (off) or a positive number, got {}", d.logits_soft_cap);
}

KvLayout kv_layout(const Device& device, const AttentionDesc& desc) {
  check_desc(desc);
  KvLayout layout{};
  layout.page =
      device.page_layout(plain_kv(desc.dtype), {desc.head_dim_qk, desc.head_dim_vo}, desc.page_size);
  const auto elems = [&](std::size_t bytes) { return static_cast<long>(bytes / dtype_bytes(desc.dtype)); };
  layout.v_offset = elems(layout.page->v_begin_bytes());
  layout.head_stride = elems(layout.page->bytes());
  layout.page_stride = layout.head_stride * desc.num_kv_heads;
  layout.page_bytes = layout.page->bytes() * static_cast<std::size_t>(desc.num_kv_heads);
  return layout;
}

KvWriteParams kv_write_params(const KvLayout& layout, const AttentionDesc& desc, const KvWriteTensors& t) {
  KvWriteParams p{};
  p.k = t.k;
  p.v = t.v;
  p.kv_pool = t.kv_pool;
  p.slot_mapping = t.slot_mapping;
  p.k_token_stride = t.k_token_stride != 0 ? t.k_token_stride : long{desc.num_kv_heads} * desc.head_dim_qk;
  p.v_token_stride = t.v_token_stride != 0 ? t.v_token_stride : long{desc.num_kv_heads} * desc.head_dim_vo;
  p.page_stride = layout.page_stride;
  p.head_stride = layout.head_stride;
  p.v_offset = layout.v_offset;
  p.num_tokens = t.num_tokens;
  p.num_kv_heads = desc.num_kv_heads;
  p.head_dim_qk = desc.head_dim_qk;
  p.head_dim_vo = desc.head_dim_vo;
  p.page_size = desc.page_size;
  return p;
}

void write_kv(Device& device, const AttentionDesc& desc, const KvWriteTensors& t) {
  const KvWriteParams p = kv_write_params(kv_layout(device, desc), desc, t);
  const double elems = double(t.num_tokens) * desc.num_kv_heads * (desc.head_dim_qk + desc.head_dim_vo);
  device.run(RowVariant{KernelName::kKvWrite, desc.dtype}, p, t.num_tokens,
             {2 * elems * static_cast<double>(dtype_bytes(desc.dtype)), 0});
}

Visibility visibility_of(const AttentionDesc& d) {
  return {d.causal ? 1 : 0, std::min(d.window, kMaxContext)};
}

unsigned score_mods_of(const AttentionDesc& d) {
  return (d.logits_soft_cap > 0 ? kModSoftCap : 0u) |
         (d.position_bias != PositionBias::kNone ? kModBias : 0u) | (d.sm_scale > 0 ? 0u : kModSignedScale);
}

AttentionVariant variant_of(const AttentionDesc& d) {
  return {d.dtype, d.dtype, plain_kv(d.dtype), {d.head_dim_qk, d.head_dim_vo}, score_mods_of(d)};
}

LaunchCost attention_cost(const AttentionDesc& d, const AttentionLengths& lengths) {
  const double elem = static_cast<double>(dtype_bytes(d.dtype)), dims = d.head_dim_qk + d.head_dim_vo;
  const Visibility sees = visibility_of(d);
  LaunchCost cost;
  for (std::size_t s = 0; s < lengths.query_len.size(); ++s) {
    const int query_len = lengths.query_len[s], kv_len = lengths.kv_len[s];
    if (query_len == 0) continue;
    const double keys = sees.of_rows(kv_len - query_len, kv_len - 1, kv_len).size();
    cost.flops += 2 * dims * d.num_qo_heads * static_cast<double>(sees.pairs(query_len, kv_len));
    cost.bytes += elem * dims * (keys * d.num_kv_heads + double(query_len) * d.num_qo_heads);
  }
  return cost;
}

std::span<const AttentionFeature> attention_features() {
  constexpr auto any = [](const KernelAbilities& a) {
    return a.has_kernel();
  };  // in every kernel, or done by the host
  static constexpr AttentionFeature kFeatures[] = {
      {"causal", [](const AttentionDesc& d) { return d.causal; }, any},
      {"non-causal", [](const AttentionDesc& d) { return !d.causal; }, any},
      {"grouped queries", [](const AttentionDesc& d) { return d.num_qo_heads != d.num_kv_heads; }, any},
      {"head_dim_vo != head_dim_qk", [](const AttentionDesc& d) { return d.head_dim_vo != d.head_dim_qk; },
       any},
      {"head size not a multiple of 16",
       [](const AttentionDesc& d) { return d.head_dim_qk % 16 + d.head_dim_vo % 16 != 0; }, any},
      {"page size not a multiple of 16", [](const AttentionDesc& d) { return d.page_size % 16 != 0; }, any},
      {"sliding window", [](const AttentionDesc& d) { return d.window > 0; }, any},
      {"soft cap", [](const AttentionDesc& d) { return d.logits_soft_cap > 0; },
       [](const KernelAbilities& a) { return (a.mods & kModSoftCap) != 0; }},
      {"ALiBi", [](const AttentionDesc& d) { return d.position_bias == PositionBias::kAlibi; },
       [](const KernelAbilities& a) { return (a.mods & kModBias) != 0; }},
      {"ALiBi-sqrt", [](const AttentionDesc& d) { return d.position_bias == PositionBias::kAlibiSqrt; },
       [](const KernelAbilities& a) { return (a.mods & kModBias) != 0; }},
      {"sinks", [](const AttentionDesc& d) { return d.has_sinks; }, any},
      {"batch invariance", [](const AttentionDesc& d) { return d.batch_invariant; }, any},
      {"f32", [](const AttentionDesc& d) { return d.dtype == DType::kF32; },
       [](const KernelAbilities& a) { return a.has(DType::kF32); }},
      {"f16", [](const AttentionDesc& d) { return d.dtype == DType::kF16; },
       [](const KernelAbilities& a) { return a.has(DType::kF16); }},
      {"bf16", [](const AttentionDesc& d) { return d.dtype == DType::kBF16; },
       [](const KernelAbilities& a) { return a.has(DType::kBF16); }},
  };
  return kFeatures;
}

}  // namespace quire
