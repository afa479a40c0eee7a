#include "selftest/attention_case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

namespace quire {
namespace {

constexpr int kPageSizes[] = {1, 2, 3, 5, 8, 16, 20, 32, 48, 64, 128, 528};
constexpr int kGroupSizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 32, 71};
// Of q and k; the last is that of latent attention, whose values have 512.
constexpr int kHeadSizes[] = {64, 128, 8,   9,   16,  24,  32,  40,  72,  77,  80,  88,
                              96, 104, 112, 120, 160, 192, 200, 255, 256, 320, 512, 576};

template <std::size_t n>
int at(const int (&list)[n], int idx) {
  return list[static_cast<std::size_t>(idx) % n];
}

struct Lengths {
  int query_len, kv_len;
};

// One request of a mixed batch.
Lengths random_request(bool causal, int page_size, Random& random) {
  const int kind = random.between(0, causal ? 6 : 9);
  const int context = random.chance(0.3) ? page_size * random.between(1, 4) : random.between(1, 400);
  switch (kind) {
    case 0: {  // a whole prompt, now and then of one token
      const int len = random.chance(0.2) ? 1 : random.between(1, 180);
      return {len, len};
    }
    case 1: {  // a later chunk of a prompt
      const int len = random.between(2, 90);
      return {len, len + context};
    }
    case 2:
    case 3:
      return {1, context};  // decode
    case 4: {               // verification of drafted tokens
      const int len = random.between(2, 8);
      return {len, len + context};
    }
    case 5:
      return {0, 0};  // padding
    case 6:
      return {0, context};
    case 7:
      return {random.between(1, 9), 0};  // rows without any key
    case 8:
      return {random.between(1, 60), random.between(1, 30)};  // cross attention to a shorter sequence
    default:
      return {random.between(1, 60), context};
  }
}

void choose_lengths(AttentionFocus focus, AttentionCase& c, Random& random) {
  const bool splits = focus == AttentionFocus::kSplits || focus == AttentionFocus::kBatchInvariant;
  const int num_seqs = focus == AttentionFocus::kBatches ? random.between(3, 12) : random.between(1, 5);
  for (int s = 0; s < num_seqs; ++s) {
    Lengths lengths = random_request(c.desc.causal, c.desc.page_size, random);
    if (splits && s == 0) {  // one long context, read by a few tokens
      lengths.query_len = random.chance(0.5) ? 1 : random.between(2, 12);
      lengths.kv_len = lengths.query_len + random.between(2000, 14000);
    }
    c.query_len.push_back(lengths.query_len);
    c.kv_len.push_back(lengths.kv_len);
  }
}

// Halves the lengths of the costliest request until the oracle can do the case in a few hundredths of a
// second.
void shorten(AttentionCase& c, double max_products) {
  while (num_products(c) > max_products) {
    std::size_t most = 0;
    for (std::size_t s = 0; s < c.query_len.size(); ++s) {
      const auto pairs = [&](std::size_t i) { return double(c.query_len[i]) * c.kv_len[i]; };
      if (pairs(s) > pairs(most)) most = s;
    }
    if (c.query_len[most] > 1) {
      const int context = c.kv_len[most] - c.query_len[most];
      c.query_len[most] = (c.query_len[most] + 1) / 2;
      c.kv_len[most] = std::max(1, context + c.query_len[most]);
    } else {
      c.kv_len[most] = (c.kv_len[most] + 1) / 2;
    }
  }
}

void choose_window(AttentionCase& c, Random& random) {
  const int longest = *std::max_element(c.kv_len.begin(), c.kv_len.end());
  c.desc.window = random.chance(0.15)  ? 1
                  : random.chance(0.1) ? longest + random.between(0, 100)
                                       : random.between(1, std::max(2, longest));
}

void choose_soft_cap(AttentionCase& c, Random& random) {
  c.desc.logits_soft_cap = static_cast<float>(random.pick({50.0, 30.0, 5.0, 1.0, 0.02}));
  // |score / cap| far above 88, where the exponential of the textbook tanh overflows.
  if (random.chance(0.3)) c.score_spread = 300.0 * c.desc.logits_soft_cap;
}

// `compiles`: the device has a kernel for each head size, and another where scores are changed. The sizes
// that a case is about are then compiled for unchanged scores alone.
void choose_features(AttentionFocus focus, bool compiles, AttentionCase& c, Random& random) {
  const double other = focus == AttentionFocus::kEverything              ? 0.5
                       : focus == AttentionFocus::kHeadSizes && compiles ? 0
                                                                         : 0.2;
  const auto wants = [&](AttentionFocus feature) { return focus == feature || random.chance(other); };
  c.score_spread = random.pick({0.3, 1.0, 1.0, 3.0, 8.0});
  if (wants(AttentionFocus::kWindow)) choose_window(c, random);
  if (wants(AttentionFocus::kModSoftCap)) choose_soft_cap(c, random);
  if (wants(AttentionFocus::kAlibi)) c.desc.position_bias = PositionBias::kAlibi;
  if (focus == AttentionFocus::kAlibiSqrt || (focus != AttentionFocus::kAlibi && random.chance(other / 2))) {
    c.desc.position_bias = PositionBias::kAlibiSqrt;
  }
  c.slope_scale = random.pick({0.1, 1.0, 1.0, 4.0});
  if (wants(AttentionFocus::kSinks)) {
    c.desc.has_sinks = true;
    c.sink_level = random.pick({0.0, 0.0, 10.0, 80.0, 1e4, -30.0, -1e4});
  }
  c.desc.batch_invariant = focus == AttentionFocus::kBatchInvariant || random.chance(0.2);
  c.desc.sm_scale = default_sm_scale(c.desc.head_dim_qk);
  if (random.chance(0.1)) c.desc.sm_scale *= static_cast<float>(random.uniform(-2, 2));
}

int random_head_size(Random& random) {
  return random.chance(0.3) ? random.between(1, 256) : at(kHeadSizes, random.between(0, 1 << 20));
}

HeadShape heads_of(int qk, double same_chance, Random& random) {
  const int vo = random.chance(same_chance) ? qk : random_head_size(random);
  return {qk, std::min(vo, kMaxHeadShape.vo)};
}

// Of a case that is not about head sizes. A device that compiles at run time has kernels for each shape:
// there three shapes serve all cases of a run, and another seed of the run gives another third one.
HeadShape any_heads(const CheckCase& check, Random& random) {
  if (!check.device.caps().compiles_kernels) {
    return heads_of(random.chance(0.5) ? random.pick({32, 64, 128}) : random_head_size(random), 0.8, random);
  }
  Random of_run(check.run_seed);
  const HeadShape shapes[] = {{64, 64}, {128, 128}, heads_of(random_head_size(of_run), 0.7, of_run)};
  return shapes[random.between(0, 2)];
}

}  // namespace

AttentionCase make_attention_case(AttentionFocus focus, CheckCase& check) {
  Random& random = check.random;
  AttentionCase c;
  AttentionDesc& d = c.desc;
  d.dtype = check.dtype;
  d.causal = focus != AttentionFocus::kNonCausal && !random.chance(0.2);
  const bool any_page = focus == AttentionFocus::kPageSizes;
  d.page_size = any_page             ? at(kPageSizes, check.case_idx)
                : random.chance(0.5) ? 16
                                     : at(kPageSizes, random.between(0, 1 << 20));
  const bool any_group = focus == AttentionFocus::kGroupSizes;
  const int group_size = any_group            ? at(kGroupSizes, check.case_idx)
                         : random.chance(0.7) ? random.pick({1, 2, 4, 7})
                                              : at(kGroupSizes, random.between(0, 1 << 20));
  d.num_kv_heads = group_size > 8 ? random.between(1, 2) : random.pick({1, 1, 2, 3});
  d.num_qo_heads = d.num_kv_heads * group_size;
  const HeadShape heads = focus == AttentionFocus::kHeadSizes
                              ? heads_of(at(kHeadSizes, check.case_idx), 0.5, random)
                              : any_heads(check, random);
  d.head_dim_qk = heads.qk;
  d.head_dim_vo = heads.vo;
  choose_lengths(focus, c, random);
  shorten(c, check.size *
                 (focus == AttentionFocus::kSplits || focus == AttentionFocus::kBatchInvariant ? 2e7 : 8e6));
  choose_features(focus, check.device.caps().compiles_kernels, c, random);
  c.has_lse = random.chance(0.7);
  c.uses_kv_write = random.chance(0.5);
  c.has_wild_pages = random.chance(0.3);
  if (random.chance(0.4)) c.q_gap = random.between(1, 300);
  if (random.chance(0.4)) c.o_gap = random.between(1, 40);
  c.num_spare_pages = random.between(0, 3);
  return c;
}

double num_products(const AttentionCase& c) {
  double pairs = 0;
  for (std::size_t s = 0; s < c.query_len.size(); ++s) pairs += double(c.query_len[s]) * c.kv_len[s];
  return pairs * c.desc.num_qo_heads * (c.desc.head_dim_qk + c.desc.head_dim_vo);
}

std::string describe(const AttentionCase& c) {
  const AttentionDesc& d = c.desc;
  std::string text =
      fmt::format("heads {}/{}, head sizes {}/{}, page {}, scale {:.3g}, {}", d.num_qo_heads, d.num_kv_heads,
                  d.head_dim_qk, d.head_dim_vo, d.page_size, d.sm_scale, d.causal ? "causal" : "non-causal");
  if (d.window > 0) text += fmt::format(", window {}", d.window);
  if (d.logits_soft_cap > 0) text += fmt::format(", soft cap {}", d.logits_soft_cap);
  if (d.position_bias == PositionBias::kAlibi) text += fmt::format(", ALiBi x {}", c.slope_scale);
  if (d.position_bias == PositionBias::kAlibiSqrt) text += fmt::format(", ALiBi-sqrt x {}", c.slope_scale);
  if (d.has_sinks) text += fmt::format(", sinks {}", c.sink_level);
  if (d.batch_invariant) text += ", batch invariant";
  return text +
         fmt::format(", spread {:.3g}, query_len {}, kv_len {}", c.score_spread, c.query_len, c.kv_len);
}

}  // namespace quire
