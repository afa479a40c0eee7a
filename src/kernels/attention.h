// Paged attention for any mix of prefill, extend and decode: one program takes rows of one KV head's query heads against a
// range of keys. Semantics: o = softmax(scale q K^T -> soft cap -> mask -> position bias) V, with sinks in the denominator.
#pragma once

#include "kernels/params.h"
#include "kernels/softmax_state.h"

namespace quire {
namespace QUIRE_TARGET {

// E: element type of q, k, v and o. Config: kRows, kKeys (tile of scores), kHeadDim (bound of both head sizes).
template <class E, class Config>
class Attention {
 public:
  static constexpr int kRows = Config::kRows, kKeys = Config::kKeys, kHeadDim = Config::kHeadDim;

  static QUIRE_DEV void run(Program& program, const AttentionParams& p) {
    for_each_work(program, p.num_work, [&](int item) { Attention(program, p, p.work[item]).attend(program); });
  }

 private:
  const AttentionParams& p_;
  const AttentionWork w_;
  const int rows_;
  const bool transforms_;   // scores leave the plain form scale * q k
  const float scale_log2_;  // from scores to log2 units
  Row<kRows> slopes_;       // position bias of each row's head
  Operand<E, kRows, kHeadDim> q_;
  SoftmaxState<kRows, kHeadDim> state_;

  QUIRE_DEV Attention(Program& program, const AttentionParams& p, const AttentionWork& w)
      : p_(p),
        w_(w),
        rows_(w.num_tokens * w.num_heads),
        transforms_(p.logits_soft_cap > 0 || p.position_bias != PositionBias::kNone || !(p.sm_scale > 0)),
        scale_log2_(transforms_ ? kLog2E : p.sm_scale * kLog2E),
        q_(program),
        state_(program) {}

  QUIRE_DEV int head_of(int row) const { return w_.kv_head * p_.group_size + w_.group_begin + row % w_.num_heads; }
  QUIRE_DEV int token_of(int row) const { return w_.token_begin + row / w_.num_heads; }
  QUIRE_DEV int position_of(int row) const { return w_.position + row / w_.num_heads; }

  // Keys [first_key, end_key) are visible to the row and belong to this program.
  QUIRE_DEV int first_key(int row) const {
    const int first = p_.window > 0 ? position_of(row) - p_.window + 1 : 0;
    return first > w_.kv_begin ? first : w_.kv_begin;
  }
  QUIRE_DEV int end_key(int row) const {
    int end = p_.causal ? position_of(row) + 1 : p_.window > 0 ? position_of(row) + p_.window : w_.kv_end;
    return end < w_.kv_end ? end : w_.kv_end;
  }

  QUIRE_DEV void attend(Program& program) {
    load_queries();
    reset(state_, rows_, p_.head_dim_vo);
    scan_keys(program);
    const float to_log2 = scale_log2_;
    row_map(state_.m, rows_, [&](auto, auto m) { return m * to_log2; }, state_.m);
    if (w_.num_splits == 1) return finish();
    publish();
    if (last_arrival(program, p_.counters + w_.counter_idx, w_.num_splits)) {
      collect();
      finish();
    }
  }

  QUIRE_DEV void load_queries() {
    const E* q = static_cast<const E*>(p_.q);
    load_rows(q_, rows_, p_.head_dim_qk,
              [&](int r) { return q + token_of(r) * p_.q_token_stride + long{head_of(r)} * p_.head_dim_qk; });
    if (p_.position_bias != PositionBias::kNone) {
      gather_row(slopes_, rows_, [&](int r) { return p_.alibi_slopes[head_of(r)]; });
    }
  }

  // Tiles lie at fixed absolute positions, so that a row's arithmetic does not depend on how its request was cut.
  QUIRE_DEV void scan_keys(Program& program) {
    const E* pool = static_cast<const E*>(p_.kv_pool);
    const long head = w_.kv_head * p_.head_stride;
    const KvView<E> view{pool, p_.page_table + long{w_.seq_idx} * p_.max_pages, p_.page_stride, head,
                         head + p_.v_offset, {p_.page_size, p_.head_dim_qk, p_.head_dim_vo, DotTraits<E>::kPair}};
    const int first_tile = w_.kv_begin / kKeys;
    const int num_tiles = w_.kv_end > w_.kv_begin ? (w_.kv_end - 1) / kKeys + 1 - first_tile : 0;
    KvStage<E, kKeys> stage(program, kHeadDim);
    Accum<kRows, kKeys> scores(program);
    pipeline(
        program, num_tiles, stage, scores,
        [&](auto& to, int tile) {
          const int begin = (first_tile + tile) * kKeys, end = begin + kKeys;
          load_pages(to, view, begin > w_.kv_begin ? begin : w_.kv_begin, end < w_.kv_end ? end : w_.kv_end);
        },
        [&](auto& s, const auto& keys, int) { dot(s, q_, keys); },
        [&](auto& s, const auto& keys, int) {
          modify_scores(s, keys.first_key, keys.num_keys);
          update(state_, s, scale_log2_);
          dot_add(state_.o, s, keys);
        });
  }

  // Soft cap, mask, position bias, in this order. Plain scores stay unscaled: the scale is part of the exponential.
  template <class Scores>
  QUIRE_DEV void modify_scores(Scores& scores, int key_begin, int num_keys) const {
    if (transforms_) {
      const float scale = p_.sm_scale, cap = p_.logits_soft_cap;
      each(scores, [&](int, auto, auto x) { return cap > 0 ? cap * tanh(x * scale / cap) : x * scale; });
    }
    if (key_begin < first_key(rows_ - 1) || key_begin + num_keys > end_key(0)) {
      each(scores, [&](int row, auto col, auto x) {
        const auto visible = (col >= first_key(row) - key_begin) & (col < end_key(row) - key_begin);
        return select(visible, x, kNegInf);
      });
    }
    if (p_.position_bias == PositionBias::kAlibi) {
      each(scores, slopes_, [&](int row, auto col, auto x, float slope) {
        return to_f32(col + (key_begin - position_of(row))) * slope + x;
      });
    } else if (p_.position_bias == PositionBias::kAlibiSqrt) {
      each(scores, slopes_, [&](int row, auto col, auto x, float slope) {
        const auto distance = to_f32(position_of(row) - key_begin - col);
        return x - sqrt(select(distance > 0.0f, distance, distance * 0.0f)) * slope;
      });
    }
  }

  // A split's state into its slot of the workspace, and all slots of a row block merged in the order of the keys.
  QUIRE_DEV float* partial_row(int split, int row) const {
    return p_.partial_o + (long{w_.partial_begin + split} * kRows + row) * p_.head_dim_vo;
  }
  QUIRE_DEV float* partial_md(int split) const { return p_.partial_md + long{w_.partial_begin + split} * 2 * kRows; }

  QUIRE_DEV void publish() {
    store_rows(state_.o, rows_, p_.head_dim_vo, [&](int r) { return partial_row(w_.split_idx, r); });
    store_row(state_.m, rows_, partial_md(w_.split_idx));
    store_row(state_.d, rows_, partial_md(w_.split_idx) + kRows);
  }
  QUIRE_DEV void collect() {
    reset(state_, rows_, p_.head_dim_vo);
    for (int split = 0; split < w_.num_splits; ++split) {
      Row<kRows> m, d;
      load_row(m, rows_, partial_md(split));
      load_row(d, rows_, partial_md(split) + kRows);
      merge(state_, m, d, [&](int r) -> const float* { return partial_row(split, r); });
    }
  }

  // Sinks enter once per row, here: one more score with no value.
  QUIRE_DEV void add_sinks() {
    Row<kRows> sink, m_new, weight;
    gather_row(sink, rows_, [&](int r) { return p_.sinks[head_of(r)] * kLog2E; });
    row_map(m_new, rows_, [](auto, auto m, auto s) { return select(m > s, m, s); }, state_.m, sink);
    row_map(weight, rows_, [](auto, auto m, auto to) { return WeightOf{1.0f}(m, to); }, state_.m, m_new);
    row_map(state_.d, rows_, [](auto, auto d, auto a, auto s, auto to) { return d * a + WeightOf{1.0f}(s, to); },
            state_.d, weight, sink, m_new);
    row_scale(state_.o, weight);
    state_.m = m_new;
  }

  QUIRE_DEV void finish() {
    if (p_.sinks != nullptr) add_sinks();
    Row<kRows> inverse;
    row_map(inverse, rows_, [](auto, auto d) { return select(d == 0.0f, d, 1.0f / d); }, state_.d);
    E* o = static_cast<E*>(p_.o);
    store_rows(state_.o, inverse, rows_, p_.head_dim_vo,
               [&](int r) { return o + token_of(r) * p_.o_token_stride + long{head_of(r)} * p_.head_dim_vo; });
    if (p_.lse == nullptr) return;
    Row<kRows> lse;
    row_map(lse, rows_, [](auto, auto m, auto d) { return select(d == 0.0f, m, (m + log2(d)) * kLn2); }, state_.m,
            state_.d);
    scatter_row(lse, rows_, [&](int r) { return p_.lse + long{token_of(r)} * p_.num_qo_heads + head_of(r); });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
