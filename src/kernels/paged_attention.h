// Paged attention for any mix of prefill, extend and decode: one program takes rows of one KV head's query
// heads against a range of keys. Semantics: o = softmax(scale q K^T -> soft cap -> mask -> position bias) V,
// with sinks in the denominator.
#pragma once

#include "kernels/params.h"
#include "kernels/softmax_state.h"

namespace quire {
namespace QUIRE_TARGET {

// A work item. Q and O are the element types of q and o, Kv is the KvTypes of the cache. Config has:
//   kRows, kKeys    the shape of a tile of scores
//   kDimQk          the largest head size of q and k
//   kDimVo          the number of columns of V that one pass over the keys computes
//   kValueParts     the number of these passes: kValueParts * kDimVo is the largest head size of v
//   kMods           the ScoreMods that the kernel is compiled with
//   kPartsAtOnce    how many splits' states `collect` loads before it merges the first of them
template <class Q, class Kv, class O, class Config>
class AttentionItem {
 public:
  static constexpr int kRows = Config::kRows, kKeys = Config::kKeys, kDimQk = Config::kDimQk,
                       kDimVo = Config::kDimVo;

  QUIRE_DEV AttentionItem(Program& program, const AttentionParams& p, const AttentionWork& w)
      : p_(p),
        w_(w),
        rows_(w.num_tokens * w.num_heads),
        token_factor_(65536 / w.num_heads + 1),
        transforms_((p.mods & Config::kMods) != 0),
        scale_log2_(transforms_ ? kLog2E : p.sm_scale * kLog2E),
        common_begin_(first_key_at(w.position + w.num_tokens - 1)),
        common_end_(end_key_at(w.position)),
        q_(program),
        state_(program) {}

  QUIRE_DEV void attend(Program& program) {
    KvStage<Kv, kRows, kKeys> stage(program, kDimQk, kDimVo);
    Scores<kRows, kKeys> scores(program);
    for (int first_col = 0; first_col < Config::kValueParts * kDimVo; first_col += kDimVo) {
      if (first_col > 0 && first_col >= p_.head_dim_vo) break;
      attend_to_columns(program, stage, scores, first_col);
    }
  }

 private:
  const AttentionParams& p_;
  const AttentionWork w_;
  const int rows_;
  const int token_factor_;  // row / num_heads = row * token_factor_ / 2^16 for row * num_heads < 2^16
  const bool transforms_;   // scores need one of ScoreMods: they are not just scale * q k
  const float scale_log2_;  // converts scores to log2 units
  const int common_begin_, common_end_;  // keys that all rows see
  Row<kRows> slopes_;                    // position bias of each row's head
  Operand<Q, kRows, kDimQk> q_;
  SoftmaxState<kRows, kDimVo> state_;

  static_assert(kRows <= 256, "token_in_item is exact for up to 256 rows");
  QUIRE_DEV int token_in_item(int row) const { return row * token_factor_ >> 16; }
  QUIRE_DEV int head_of(int row) const {
    return w_.kv_head * p_.group_size + w_.group_begin + row - token_in_item(row) * w_.num_heads;
  }
  QUIRE_DEV int token_of(int row) const { return w_.token_begin + token_in_item(row); }
  QUIRE_DEV int position_of(int row) const { return w_.position + token_in_item(row); }

  // Keys [first_key_at, end_key_at) are those of this item that a query at `position` sees.
  QUIRE_DEV int first_key_at(int position) const {
    const int first = p_.sees.first_key(position);
    return first > w_.kv_begin ? first : w_.kv_begin;
  }
  QUIRE_DEV int end_key_at(int position) const {
    const int end = p_.sees.end_key(position, w_.kv_end);
    return end < w_.kv_end ? end : w_.kv_end;
  }

  QUIRE_DEV void load_queries() {
    const Q* q = static_cast<const Q*>(p_.q);
    load_rows(q_, rows_, p_.head_dim_qk,
              [&](int r) { return q + token_of(r) * p_.q_token_stride + long{head_of(r)} * p_.head_dim_qk; });
    if (transforms_ && p_.position_bias != PositionBias::kNone) {
      gather_row(slopes_, rows_, [&](int r) { return p_.alibi_slopes[head_of(r)]; });
    }
  }

  // The number of columns of V that the pass from `first_col` on computes.
  QUIRE_DEV int cols_from(int first_col) const {
    const int cols = p_.head_dim_vo - first_col;
    return Config::kValueParts > 1 && cols > kDimVo ? kDimVo : cols;
  }

  // Computes the output, or this split's part of it, for one pass: columns of V from `first_col` on.
  template <class Stage, class Scores>
  QUIRE_DEV void attend_to_columns(Program& program, Stage& stage, Scores& scores, int first_col) {
    reset(state_, rows_, cols_from(first_col));
    scan_keys(program, stage, scores, first_col);
    complete_sum(state_.d);
    const float to_log2 = scale_log2_;
    row_map(
        state_.m, rows_, [&](auto, auto m) { return m * to_log2; }, state_.m);
    join(state_);
    if (w_.num_splits == 1) return finish(first_col);
    publish(first_col);
    if (Config::kValueParts > 1 && first_col + kDimVo < p_.head_dim_vo) return;
    if (last_arrival(program, p_.counters + w_.counter_idx, w_.num_splits)) collect();
  }

  // Tiles begin at multiples of kKeys, counted from the request's first token, so that a row's arithmetic
  // does not depend on how its request was split.
  template <class Stage, class Scores>
  QUIRE_DEV void scan_keys(Program& program, Stage& stage, Scores& scores, int first_col) {
    const auto* pool = static_cast<const typename Kv::Key*>(p_.kv_pool);
    const long head = w_.kv_head * p_.head_stride;
    KvView<Kv, NativePage> view{pool,
                                p_.page_table + long{w_.seq_idx} * p_.max_pages,
                                p_.page_stride,
                                head,
                                head + p_.v_offset,
                                native_page<Kv>(p_.page_size, p_.head_dim_qk, p_.head_dim_vo),
                                w_.kv_end};
    if constexpr (Config::kValueParts > 1) {
      view.v_base += view.page.v_offset(0, first_col);
      view.page.head_dim_vo = cols_from(first_col);
    }
    const int first_tile = w_.kv_begin / kKeys;
    const int num_tiles = w_.kv_end > w_.kv_begin ? (w_.kv_end - 1) / kKeys + 1 - first_tile : 0;
    pipeline(
        program, num_tiles, stage, scores,
        PipelineLoads{[&] { load_queries(); },
                      [&](auto& to, int tile) {
                        const int begin = (first_tile + tile) * kKeys, end = begin + kKeys;
                        load_pages(to, view, begin > w_.kv_begin ? begin : w_.kv_begin,
                                   end < w_.kv_end ? end : w_.kv_end);
                      }},
        [&](auto& s, const auto& keys, int) { dot(s, q_, keys); },
        [&](auto& s, const auto& keys, int) {
          modify_scores(s, keys.first_key, keys.num_keys);
          update(state_, s, scale_log2_);
        },
        [&](auto& probs, const auto& values, int) { dot_add(state_.o, probs, values); });
  }

  // Soft cap, mask, position bias, in this order. Without ScoreMods the scores stay unscaled here, because
  // the exponential multiplies by the scale anyway.
  template <class Scores>
  QUIRE_DEV void modify_scores(Scores& scores, int key_begin, int num_keys) const {
    if (transforms_) {
      const float scale = p_.sm_scale, cap = p_.logits_soft_cap;
      each(scores, [&](auto, auto x) { return cap > 0 ? cap * tanh(x * scale / cap) : x * scale; });
    }
    if (key_begin < common_begin_ || key_begin + num_keys > common_end_) {
      Row<kRows> first, end;  // columns, clipped to the tile so that f32 holds them exactly
      gather_row(first, rows_, [&](int r) { return to_f32(clip(first_key_at(position_of(r)) - key_begin)); });
      gather_row(end, rows_, [&](int r) { return to_f32(clip(end_key_at(position_of(r)) - key_begin)); });
      each(
          scores,
          [](auto col, auto x, float from, float to) {
            return select((to_f32(col) >= from) & (to_f32(col) < to), x, kNegInf);
          },
          first, end);
    }
    if (transforms_ && p_.position_bias != PositionBias::kNone) add_position_bias(scores, key_begin);
  }

  static QUIRE_DEV int clip(int col) { return col < 0 ? 0 : col > kKeys ? kKeys : col; }

  template <class Scores>
  QUIRE_DEV void add_position_bias(Scores& scores, int key_begin) const {
    Row<kRows> query;  // the query's own position, as a column of this tile
    gather_row(query, rows_, [&](int r) { return to_f32(position_of(r) - key_begin); });
    if (p_.position_bias == PositionBias::kAlibi) {
      each(
          scores, [](auto col, auto x, float at, float slope) { return (to_f32(col) - at) * slope + x; },
          query, slopes_);
    } else {
      each(
          scores,
          [](auto col, auto x, float at, float slope) {
            const auto distance = at - to_f32(col);
            return x - sqrt(select(distance > 0.0f, distance, distance * 0.0f)) * slope;
          },
          query, slopes_);
    }
  }

  // Where a split's state goes in the workspace.
  QUIRE_DEV float* partial_row(int split, int row) const {
    return p_.partial_o + (w_.partial_begin + long{split} * rows_ + row) * p_.head_dim_vo;
  }
  QUIRE_DEV float* partial_md(int split) const {
    return p_.partial_md + 2 * (w_.partial_begin + long{split} * rows_);
  }

  QUIRE_DEV void publish(int first_col) {
    store_rows(state_.o, rows_, cols_from(first_col),
               [&](int r) { return partial_row(w_.split_idx, r) + first_col; });
    if (first_col > 0) return;  // the first pass has written m and d already
    store_row(state_.m, rows_, partial_md(w_.split_idx));
    store_row(state_.d, rows_, partial_md(w_.split_idx) + rows_);
  }

  QUIRE_DEV O* output_row(int r) const {
    return static_cast<O*>(p_.o) + token_of(r) * p_.o_token_stride + long{head_of(r)} * p_.head_dim_vo;
  }
  QUIRE_DEV float* lse_of(int r) const { return p_.lse + long{token_of(r)} * p_.num_qo_heads + head_of(r); }
  QUIRE_DEV float sink_of(int r) const { return p_.sinks[head_of(r)] * kLog2E; }

  // Merges the states of all splits in the order of their keys and writes output and LSE.
  QUIRE_DEV void collect() {
    map(rows_, p_.head_dim_vo, [&](int r, auto i) {
      using State = RowState<decltype(zeros(i))>;
      State all{kNegInf, 0.0f, zeros(i)};
      for_each_ordered<Config::kPartsAtOnce>(
          w_.num_splits,
          [&](int split) {
            const float* md = partial_md(split) + r;
            return State{load_fresh(md), load_fresh(md + rows_), load_fresh(partial_row(split, r), i)};
          },
          [&](const State& part) { merge(all, part); });
      float weight = 1.0f;
      if (p_.sinks != nullptr) {
        const float sink = sink_of(r), m = all.m > sink ? all.m : sink;
        weight = WeightOf{1.0f}(all.m, m);
        all.d = all.d * weight + WeightOf{1.0f}(sink, m);
        all.m = m;
      }
      store(output_row(r), i, all.o * (all.d == 0.0f ? 0.0f : weight / all.d));
      if (p_.lse != nullptr && is_first(i)) *lse_of(r) = all.d == 0.0f ? all.m : (all.m + log2(all.d)) * kLn2;
    });
  }

  // A sink is one more score without a value; it enters once per row, after the last key. `weight` becomes
  // the factor of the row's output.
  QUIRE_DEV void add_sinks(Row<kRows>& weight) {
    Row<kRows> sink, m_new;
    gather_row(sink, rows_, [&](int r) { return sink_of(r); });
    row_map(
        m_new, rows_, [](auto, auto m, auto s) { return select(m > s, m, s); }, state_.m, sink);
    row_map(
        weight, rows_, [](auto, auto m, auto to) { return WeightOf{1.0f}(m, to); }, state_.m, m_new);
    row_map(
        state_.d, rows_, [](auto, auto d, auto a, auto s, auto to) { return d * a + WeightOf{1.0f}(s, to); },
        state_.d, weight, sink, m_new);
    state_.m = m_new;
  }

  QUIRE_DEV void finish(int first_col) {
    Row<kRows> weight, factor;
    row_map(weight, rows_, [](auto r) { return to_f32(r) * 0.0f + 1.0f; });
    if (p_.sinks != nullptr) add_sinks(weight);
    row_map(
        factor, rows_, [](auto, auto d, auto w) { return select(d == 0.0f, d, w / d); }, state_.d, weight);
    store_rows(state_.o, factor, rows_, cols_from(first_col),
               [&](int r) { return output_row(r) + first_col; });
    if (p_.lse == nullptr || first_col > 0) return;
    Row<kRows> lse;
    row_map(
        lse, rows_, [](auto, auto m, auto d) { return select(d == 0.0f, m, (m + log2(d)) * kLn2); }, state_.m,
        state_.d);
    scatter_row(lse, rows_, [&](int r) { return lse_of(r); });
  }
};

// The kernel. Items of few rows, such as decodes, may have a configuration of their own; a target that needs
// only one passes it twice.
template <class Q, class Kv, class O, class Many, class Few>
struct Attention {
  static QUIRE_DEV void run(Program& program, const AttentionParams& p) {
    for_each_work(program, p.num_work, p.work, [&](const AttentionWork& w) {
      if constexpr (Few::kRows < Many::kRows) {
        if (w.num_tokens * w.num_heads <= Few::kRows)
          return AttentionItem<Q, Kv, O, Few>(program, p, w).attend(program);
      }
      AttentionItem<Q, Kv, O, Many>(program, p, w).attend(program);
    });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
