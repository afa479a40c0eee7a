// Attention cases with names: mistakes that attention kernels are known for, and worked examples. Expected
// values come from a sum over single keys with the rule spelled out beside each case, not from the oracle of
// the random cases.
#include <algorithm>
#include <cmath>

#include "selftest/paged_problem.h"

namespace quire {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Scores and values that every dtype holds exactly.
double raw_score(int key) { return 1 + (key * 7 % 11) / 8.0; }
double raw_value(int key) { return key * 5 % 13 - 6; }

// What a case expects: the score of a key (-inf if the query must not see it), by the query's position.
struct Expected {
  std::function<double(int position, int key)> score;
  double sink = -kInfinity;  // of every head
};

AttentionCase trap_case(const CheckCase& check, bool causal, std::vector<std::int32_t> query_len,
                        std::vector<std::int32_t> kv_len) {
  AttentionCase c;
  c.desc.num_qo_heads = 2;
  c.desc.num_kv_heads = 1;
  c.desc.head_dim_qk = c.desc.head_dim_vo = 1;
  c.desc.dtype = check.dtype;
  c.desc.sm_scale = 1;
  c.desc.causal = causal;
  c.query_len = std::move(query_len);
  c.kv_len = std::move(kv_len);
  c.num_spare_pages = 1;
  return c;
}

AttentionData trap_data(const AttentionCase& c, const Expected& expected, double slope) {
  AttentionData data;
  for (std::size_t s = 0; s < c.query_len.size(); ++s) {
    const auto num_rows = static_cast<std::size_t>(c.query_len[s] * c.desc.num_qo_heads);
    const auto num_keys = static_cast<std::size_t>(c.kv_len[s]);
    RequestData r{HostArray(c.desc.dtype, num_rows), HostArray(c.desc.dtype, num_keys),
                  HostArray(c.desc.dtype, num_keys)};
    for (std::size_t i = 0; i < num_rows; ++i) r.q.set(i, 1);
    for (std::size_t k = 0; k < num_keys; ++k) {
      r.k.set(k, raw_score(static_cast<int>(k)));
      r.v.set(k, raw_value(static_cast<int>(k)));
    }
    data.requests.push_back(std::move(r));
  }
  const auto num_heads = static_cast<std::size_t>(c.desc.num_qo_heads);
  if (c.desc.has_sinks) data.sinks.assign(num_heads, static_cast<float>(expected.sink));
  if (c.desc.position_bias != PositionBias::kNone) data.slopes.assign(num_heads, static_cast<float>(slope));
  return data;
}

// (o, lse) of one row by the definition.
std::pair<double, double> expected_row(const Expected& expected, int position, int kv_len) {
  double most = expected.sink, den = 0, sum = 0;
  for (int k = 0; k < kv_len; ++k) most = std::max(most, expected.score(position, k));
  if (most == -kInfinity) return {0, -kInfinity};
  den += std::exp(expected.sink - most);
  for (int k = 0; k < kv_len; ++k) {
    const double p = std::exp(expected.score(position, k) - most);
    den += p;
    sum += p * raw_value(k);
  }
  return {sum / den, most + std::log(den)};
}

// `slope`: of every head, where the case has a position bias.
void check_trap(CheckCase& check, const AttentionCase& c, const Expected& expected, Comparison& found,
                double slope = 0) {
  const PagedProblem problem(check.device, c, trap_data(c, expected, slope), check.random);
  const auto op = choose_backend("unified", c.desc, check.device).backend->make(check.device, c.desc);
  const AttentionOutput output = problem.run(*op, problem.all_parts(), found);
  std::size_t row = 0;
  for (std::size_t s = 0; s < c.query_len.size(); ++s) {
    for (int token = 0; token < c.query_len[s]; ++token) {
      const int position = c.kv_len[s] - c.query_len[s] + token;
      const auto [o, lse] = expected_row(expected, position, c.kv_len[s]);
      for (int head = 0; head < c.desc.num_qo_heads; ++head, ++row) {
        const auto where = [&] { return fmt::format("{}; request {}, token {}", describe(c), s, token); };
        // Values reach 6; probabilities may be rounded to the dtype, and scores of 1e4 carry an error of
        // 2^-24 * 1e4.
        const double score_error = std::isfinite(lse) ? 0x1p-22 * (4 + std::fabs(lse)) : 0;
        const double unit = rounding_unit(probs_dtype(check.device, check.dtype));
        found.expect_near(output.o[row], o,
                          rounding_unit(check.dtype) * std::fabs(o) * 2 + 6 * (unit + 4 * score_error),
                          where);
        found.expect_near(output.lse[row], lse, 2 * score_error, where);
      }
    }
  }
}

double visible_if(bool condition, double score) { return condition ? score : -kInfinity; }

// Scores (1, 2, 0.5), values (1, 2, 3), sink 1.5: out 1.382123 (1.909020 without), LSE 2.787339 (2.464369
// without).
void check_sink_example(CheckCase& check, Comparison& found) {
  for (const bool has_sink : {true, false}) {
    AttentionCase c = trap_case(check, true, {1}, {3});
    c.desc.has_sinks = has_sink;
    AttentionData data = trap_data(c, {nullptr, 1.5}, 0);
    const double scores[] = {1, 2, 0.5};
    for (std::size_t k = 0; k < 3; ++k) {
      data.requests[0].k.set(k, scores[k]);
      data.requests[0].v.set(k, static_cast<double>(k + 1));
    }
    const PagedProblem problem(check.device, c, std::move(data), check.random);
    const auto op =
        choose_backend("unified", c.desc, check.device).backend->make(check.device, c.desc);
    const AttentionOutput output = problem.run(*op, problem.all_parts(), found);
    const auto where = [&] { return fmt::format("sink example, sink {}", has_sink); };
    found.expect_near(output.o[0], has_sink ? 1.382123 : 1.909020, 3 * rounding_unit(check.dtype) + 1e-6,
                      where);
    found.expect_near(output.lse[0], has_sink ? 2.787339 : 2.464369, 2e-6, where);
  }
}

void check_window_width(CheckCase& check, Comparison& found) {
  for (const int window : {1, 2, 15, 16, 17, 255, 256, 257, 600}) {
    AttentionCase c = trap_case(check, true, {3, 70}, {700, 650});
    c.desc.window = window;
    check_trap(check, c,
               {[&](int pos, int k) { return visible_if(k <= pos && pos - k < window, raw_score(k)); }},
               found);
    c.desc.causal = false;  // as wide to the right
    check_trap(check, c,
               {[&](int pos, int k) { return visible_if(std::abs(pos - k) < window, raw_score(k)); }}, found);
  }
  AttentionCase c = trap_case(check, false, {3}, {40});
  c.desc.window = 0x7fffffff;  // wider than any position can be counted from
  check_trap(check, c, {[](int, int k) { return raw_score(k); }}, found);
}

void check_causal_alignment(CheckCase& check, Comparison& found) {
  const AttentionCase c = trap_case(check, true, {1, 5, 90, 1}, {1, 305, 90, 33});
  check_trap(check, c, {[](int pos, int k) { return visible_if(k <= pos, raw_score(k)); }}, found);
}

void check_lengths_at_edges(CheckCase& check, Comparison& found) {
  for (const int page_size : {1, 16, 48}) {
    AttentionCase c =
        trap_case(check, false, {}, {15, 16, 17, 47, 48, 49, 255, 256, 257, 511, 512, 513, 4096, 4097});
    c.query_len.assign(c.kv_len.size(), 1);
    c.desc.page_size = page_size;
    check_trap(check, c, {[](int, int k) { return raw_score(k); }}, found);
    c.desc.batch_invariant = true;
    check_trap(check, c, {[](int, int k) { return raw_score(k); }}, found);
  }
}

void check_low_scores(CheckCase& check, Comparison& found) {
  // Around -1e4 and fully masked in most tiles: a maximum of 0 instead of -inf in an empty state would drown
  // them.
  AttentionCase c = trap_case(check, true, {60, 4}, {5000, 9000});
  c.desc.window = 40;
  c.desc.sm_scale = -1e4;
  c.desc.batch_invariant = true;
  check_trap(check, c,
             {[](int pos, int k) { return visible_if(k <= pos && pos - k < 40, -1e4 * raw_score(k)); }},
             found);
  c.desc.window = 0;
  check_trap(check, c, {[](int pos, int k) { return visible_if(k <= pos, -1e4 * raw_score(k)); }}, found);
}

void check_sinks_once(CheckCase& check, Comparison& found) {
  for (const double sink : {0.0, 5.0, 9.0, 80.0, 1e4, -1e4}) {
    AttentionCase c = trap_case(check, true, {2, 1}, {9000, 300});
    c.desc.has_sinks = c.desc.batch_invariant = true;  // the first request's keys are cut into three parts
    check_trap(check, c, {[](int pos, int k) { return visible_if(k <= pos, raw_score(k)); }, sink}, found);
  }
}

void check_rows_without_keys(CheckCase& check, Comparison& found) {
  AttentionCase c = trap_case(check, false, {2, 0, 3, 0, 9}, {0, 0, 40, 33, 4});
  c.desc.window = 2;  // five of the last request's tokens lie before its first key
  const auto score = [](int pos, int k) { return visible_if(std::abs(pos - k) < 2, raw_score(k)); };
  check_trap(check, c, {score}, found);
  c.desc.has_sinks = true;
  check_trap(check, c, {score, 0.75}, found);
}

void check_soft_cap(CheckCase& check, Comparison& found) {
  for (const double factor : {1.0, 100.0, 1e4, -1e4}) {  // scores up to 1e4 / 0.5 caps
    AttentionCase c = trap_case(check, true, {4}, {300});
    c.desc.logits_soft_cap = 0.5f;
    c.desc.sm_scale = static_cast<float>(factor);
    const auto capped = [&](int k) { return 0.5 * std::tanh(factor * raw_score(k) / 0.5); };
    check_trap(check, c, {[&](int pos, int k) { return visible_if(k <= pos, capped(k)); }}, found);
    c.desc.position_bias = PositionBias::kAlibi;  // is not capped
    check_trap(check, c, {[&](int pos, int k) { return visible_if(k <= pos, capped(k) + 0.25 * (k - pos)); }},
               found, 0.25);
  }
}

void check_alibi_origin(CheckCase& check, Comparison& found) {
  // k - position, visible in the LSE, for a prompt, its later chunk and a decode alike.
  AttentionCase c = trap_case(check, true, {300, 40, 1}, {300, 300, 300});
  c.desc.position_bias = PositionBias::kAlibi;
  check_trap(check, c,
             {[](int pos, int k) { return visible_if(k <= pos, raw_score(k) + 0.125 * (k - pos)); }}, found,
             0.125);
  c.desc.position_bias = PositionBias::kAlibiSqrt;
  const auto biased = [](int pos, int k) { return raw_score(k) - (k < pos ? 0.5 * std::sqrt(pos - k) : 0); };
  check_trap(check, c, {[&](int pos, int k) { return visible_if(k <= pos, biased(pos, k)); }}, found, 0.5);
  c.desc.causal = false;
  check_trap(check, c, {[&](int pos, int k) { return biased(pos, k); }}, found, 0.5);
}

// A page whose elements lie beyond 2^31: written and read there. Takes 4 GiB of address space, or is left
// out.
void check_far_page(CheckCase& check, Comparison& found) {
  AttentionDesc d = trap_case(check, true, {}, {}).desc;
  d.head_dim_qk = d.head_dim_vo = 128;
  d.num_qo_heads = 1;
  const KvLayout layout = kv_layout(check.device, d);
  const std::int32_t page = static_cast<std::int32_t>((1l << 31) / layout.page_stride + 1);
  std::unique_ptr<Buffer> pool;
  try {
    pool = check.device.allocate(static_cast<std::size_t>((page + 1) * layout.page_stride) *
                                 dtype_bytes(d.dtype));
  } catch (const std::exception&) {
    return;
  }
  const HostArray row = random_array(check.random, d.dtype, 128, 1);
  const GuardedBuffer input(check.device, row), output(check.device, 128 * dtype_bytes(d.dtype));
  const GuardedBuffer slot(check.device, std::vector<std::int64_t>{std::int64_t{page} * d.page_size});
  const GuardedBuffer table(check.device, std::vector<std::int32_t>{page});
  KvWriteTensors kv;
  kv.k = kv.v = input.data();
  kv.kv_pool = pool->data();
  kv.slot_mapping = slot.as<std::int64_t>();
  kv.num_tokens = 1;
  write_kv(check.device, d, kv);
  const auto op = choose_backend("unified", d, check.device).backend->make(check.device, d);
  const std::int32_t one = 1;
  op->plan({{&one, 1}, {&one, 1}});
  AttentionTensors t;
  t.q = input.data();
  t.o = output.data();
  t.kv_pool = pool->data();
  t.page_table = table.as<std::int32_t>();
  t.max_pages = 1;
  op->run(t);
  check.device.synchronize();
  found.expect(output.download(d.dtype).same_bits(0, 128, row, 0),
               [] { return "one key: its value is the output"; });
}

}  // namespace

std::vector<Check> attention_trap_checks() {
  return {
      {"attention", "example: sink", 1, kAllDTypes, check_sink_example},
      {"attention", "trap: a window of W sees W keys", 1, kAllDTypes, check_window_width},
      {"attention", "trap: causal is bottom-right", 1, kAllDTypes, check_causal_alignment},
      {"attention", "trap: lengths at page and tile ends", 1, kAllDTypes, check_lengths_at_edges},
      {"attention", "trap: scores near -1e4, empty tiles", 1, kAllDTypes, check_low_scores},
      {"attention", "trap: sinks count once", 1, kAllDTypes, check_sinks_once},
      {"attention", "trap: rows without keys", 1, kAllDTypes, check_rows_without_keys},
      {"attention", "trap: soft cap far above 88", 1, kAllDTypes, check_soft_cap},
      {"attention", "trap: ALiBi counts from the position", 1, kAllDTypes, check_alibi_origin},
      {"attention", "trap: page beyond 2^31 elements", 1, {DType::kBF16}, check_far_page},
  };
}

}  // namespace quire
