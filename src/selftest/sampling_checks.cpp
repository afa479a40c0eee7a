// What sampling needs: the likeliest token, random draws, and drawn tokens as input.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/stable_sort.h"
#include "kernels/params.h"
#include "selftest/arrays.h"
#include "selftest/check.h"
#include "tile/ranges.h"

namespace quire {
namespace {

// Logits as samplers see them: peaks, ties, masked tokens of -inf, now and then a NaN.
std::vector<float> random_logits(Random& random, int vocab_size) {
  const double amplitude = random.pick({0.0, 1.0, 20.0, 1e4});
  std::vector<float> logits;
  const bool masks = random.chance(0.3), ties = random.chance(0.4);
  for (int i = 0; i < vocab_size; ++i) {
    double x = random.uniform(-amplitude, amplitude);
    if (ties) x = std::round(x / amplitude * 3);
    logits.push_back(masks && random.chance(0.9) ? -INFINITY : static_cast<float>(amplitude > 0 ? x : -5));
  }
  logits[static_cast<std::size_t>(random.between(0, vocab_size - 1))] = static_cast<float>(amplitude / 2);
  if (random.chance(0.1)) logits[static_cast<std::size_t>(random.between(0, vocab_size - 1))] = NAN;
  return logits;
}

// What is to stand for the row's likeliest token.
std::int32_t likeliest(const float* row, int vocab_size) {
  if (std::any_of(row, row + vocab_size, [](float x) { return std::isnan(x); })) return kTokenOfNan;
  const float* first = std::max_element(row, row + vocab_size);
  if (std::isinf(*first)) return *first > 0 ? kTokenOfInfinity : kTokenOfNone;
  return static_cast<std::int32_t>(first - row);
}

void check_sample_greedy(CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const int num_rows = random.between(1, 6);
  const int vocab_size = random.chance(0.3) ? random.pick({1, 2, 15, 16, 17, 128256}) : random.between(1, 5000);
  std::vector<float> logits;
  for (int r = 0; r < num_rows; ++r) {
    std::vector<float> row = random_logits(random, vocab_size);
    if (random.chance(0.1)) row.assign(row.size(), -INFINITY);
    if (random.chance(0.1)) row[static_cast<std::size_t>(random.between(0, vocab_size - 1))] = INFINITY;
    logits.insert(logits.end(), row.begin(), row.end());
  }
  const auto rows = static_cast<std::size_t>(num_rows);
  SampleGreedyParams p{};
  p.num_rows = num_rows;
  p.vocab_size = vocab_size;
  p.part_len = random.between(std::max(1, vocab_size / 40), vocab_size);
  p.num_parts = ceil_div(vocab_size, p.part_len);
  const std::size_t parts = rows * static_cast<std::size_t>(p.num_parts);
  const GuardedBuffer in(check.device, logits), tokens(check.device, rows * 4), part_max(check.device, parts * 4),
      part_token(check.device, parts * 4), counters(check.device, std::vector<std::int32_t>(rows, 0)), maxima(check.device, rows * 4);
  const bool has_maxima = random.chance(0.5);
  p.logits = in.as<float>();
  p.tokens = tokens.as<int>();
  p.part_max = part_max.as<float>();
  p.part_token = part_token.as<int>();
  p.counters = counters.as<int>();
  p.maxima = has_maxima ? maxima.as<float>() : nullptr;
  for (int run = 0; run < 2; ++run) check.device.run(RowVariant{KernelName::kSampleGreedy, DType::kF32}, p, num_rows * p.num_parts);
  check.device.synchronize();
  std::vector<std::int32_t> got(rows), counted(rows);
  std::vector<float> most(rows);
  maxima.download(most.data());
  tokens.download(got.data());
  counters.download(counted.data());
  for (std::size_t r = 0; r < rows; ++r) {
    const std::int32_t want = likeliest(&logits[r * static_cast<std::size_t>(vocab_size)], vocab_size);
    found.expect(got[r] == want, [&] {
      return fmt::format("row {} of {} logits in parts of {}: token {}, want {}", r, vocab_size, p.part_len, got[r], want);
    });
    const bool is_most = want < 0 || most[r] == logits[r * static_cast<std::size_t>(vocab_size) + static_cast<std::size_t>(want)];
    found.expect(is_most || !has_maxima, [&] { return fmt::format("row {}: a maximum of {}", r, most[r]); });
    found.expect(counted[r] == 0, [&] { return fmt::format("row {}: its counter is left at {}", r, counted[r]); });
  }
  found.expect(tokens.guards_intact() && part_max.guards_intact() && part_token.guards_intact() && counters.guards_intact() &&
                   maxima.guards_intact(),
               [] { return "memory around the output was written"; });
}

void check_take_tokens(CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const auto num_tokens = static_cast<std::size_t>(random.between(1, 300)), num_drawn = static_cast<std::size_t>(random.between(1, 40));
  std::vector<std::int32_t> drawn(num_drawn), rows(num_tokens), ids(num_tokens);
  for (std::int32_t& token : drawn) token = random.between(-3, 100000);
  for (std::int32_t& row : rows) row = random.between(-1, static_cast<int>(num_drawn) - 1);
  for (std::int32_t& id : ids) id = random.between(0, 100000);
  const GuardedBuffer from(check.device, drawn), which(check.device, rows), to(check.device, ids);
  TakeTokensParams p{};
  p.drawn = from.as<int>();
  p.rows = which.as<int>();
  p.ids = to.as<int>();
  p.num_tokens = static_cast<int>(num_tokens);
  check.device.run(RowVariant{KernelName::kTakeTokens, DType::kF32}, p, p.num_tokens);
  check.device.synchronize();
  std::vector<std::int32_t> got(num_tokens);
  to.download(got.data());
  for (std::size_t i = 0; i < num_tokens; ++i) {
    const std::int32_t want = rows[i] < 0 ? ids[i] : std::max(0, drawn[static_cast<std::size_t>(rows[i])]);
    found.expect(got[i] == want, [&] { return fmt::format("token {} of {}: {}, want {}", i, num_tokens, got[i], want); });
  }
  found.expect(to.guards_intact(), [] { return "memory around the output was written"; });
}


// A row of random draws, and what the oracle knows of it.
struct DrawProblem {
  std::vector<float> logits;
  DrawRow draw;
  bool is_exact;  // all weights are powers of two: the token is known for certain

  double weight(std::size_t token, float max) const {
    return std::exp2((static_cast<double>(logits[token]) - static_cast<double>(max)) * static_cast<double>(draw.scale));
  }
};

std::string describe(const DrawProblem& c) {
  return fmt::format("{} logits, scale {}, top_k {}, top_p {:.9g}, min_weight {}, random {:#x}{}", c.logits.size(), c.draw.scale, c.draw.top_k,
                     static_cast<double>(c.draw.top_p) * 0x1p-64, c.draw.min_weight, c.draw.random, c.is_exact ? ", exact" : "");
}

DrawProblem random_draw(Random& random, int vocab_size) {
  DrawProblem c{random_logits(random, vocab_size), {}, random.chance(0.3)};
  c.draw.scale = random.chance(0.15) ? 0.0f : static_cast<float>(1.44269504 / random.pick({0.01, 0.3, 0.8, 1.0, 2.0}));
  if (c.is_exact) {
    for (float& x : c.logits) x = std::isfinite(x) ? static_cast<float>(random.between(-60, 3)) : x;
    c.draw.scale = random.pick({0.25f, 1.0f, 2.0f});
    for (float& x : c.logits) x = x / c.draw.scale;
  }
  if (random.chance(0.1)) c.logits.assign(c.logits.size(), random.pick({-INFINITY, 0.0f, -0.0f, 7.5f}));
  if (random.chance(0.05)) c.logits[static_cast<std::size_t>(random.between(0, vocab_size - 1))] = INFINITY;
  for (float& x : c.logits) x = x == 0 && random.chance(0.5) ? -x : x;
  const int any_k = random.between(1, vocab_size);
  if (random.chance(0.5)) c.draw.top_k = random.pick({1, 2, 50, any_k, any_k, vocab_size, vocab_size + 5});
  const double top_p = random.pick({1e-9, 0.1, 0.5, 0.9, 0.99, 1 - 1e-9, random.uniform(0.01, 1)});
  if (random.chance(0.5)) c.draw.top_p = static_cast<Mass>(std::ldexp(top_p, 64));
  if (random.chance(0.3)) c.draw.min_weight = random.pick({0.5f, 0.05f, 1e-4f, 1.0f});
  c.draw.random = random.chance(0.1) ? random.pick({Mass{0}, ~Mass{0}}) : random.bits();
  return c;
}

// The likeliest first, lower ids first among equals.
std::vector<std::size_t> by_likelihood(const std::vector<float>& logits) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  sort_stably(order, [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  return order;
}

// The definition in whole numbers, where float64 holds every weight exactly.
std::int32_t exact_token(const DrawProblem& c, const std::vector<std::size_t>& order) {
  __extension__ using Wide = unsigned __int128;
  const float max = c.logits[order[0]];
  std::vector<Mass> weights(order.size(), 0);
  Wide total = 0, mass = 0;
  for (std::size_t rank = 0; rank < order.size() && (c.draw.top_k == 0 || rank < static_cast<std::size_t>(c.draw.top_k)); ++rank) {
    const double weight = c.weight(order[rank], max);
    if (weight >= static_cast<double>(c.draw.min_weight)) weights[order[rank]] = static_cast<Mass>(std::nearbyint(weight * 0x1p40));
    total += weights[order[rank]];
  }
  for (const std::size_t token : order) {
    if (c.draw.top_p > 0 && mass > 0 && mass << 64 >= c.draw.top_p * total) weights[token] = 0;
    mass += weights[token];
  }
  Wide target = c.draw.random * std::accumulate(weights.begin(), weights.end(), Wide{0}) >> 64;
  for (std::size_t token = 0; token < weights.size(); ++token) {
    if (target < weights[token]) return static_cast<std::int32_t>(token);
    target -= weights[token];
  }
  return -100;
}

// In float64. The exponent of a weight is rounded twice in f32 and reaches 42, exponentials are off by 3 ulp, and weights are rounded to
// 2^-40. So a token is right when the uniform variable lies in its interval, or nearer to it than that; where a threshold of min_p or top_p
// is as near to a token, both answers are right.
void expect_plausible(const DrawProblem& c, std::int32_t token, Comparison& found, const std::string& where) {
  constexpr double kError = 42 * 0x1p-23 * 0.6931472 + 4 * 0x1p-23;
  const std::vector<std::size_t> order = by_likelihood(c.logits);
  const float max = c.logits[order[0]];
  const double rounding = static_cast<double>(order.size()) * 0x1p-40, min_weight = static_cast<double>(c.draw.min_weight);
  std::vector<double> weights(order.size(), 0.0);
  std::vector<char> is_certain(order.size(), 0);
  double total = 0;
  for (std::size_t rank = 0; rank < order.size() && (c.draw.top_k == 0 || rank < static_cast<std::size_t>(c.draw.top_k)); ++rank) {
    const double weight = c.weight(order[rank], max);
    if (weight < min_weight * (1 - kError)) break;
    weights[order[rank]] = weight;
    is_certain[order[rank]] = weight >= min_weight * (1 + kError);
    total += weight;
  }
  const double need = c.draw.top_p > 0 ? static_cast<double>(c.draw.top_p) * 0x1p-64 * total : 2 * total, slack = 2 * kError * total + rounding;
  double mass = 0, certain = 0, possible = 0;
  for (const std::size_t t : order) {
    if (mass > need + slack) weights[t] = 0;
    if (mass > need - slack && mass > 0) is_certain[t] = 0;
    mass += weights[t];
    possible += weights[t];
    certain += is_certain[t] ? weights[t] : 0;
  }
  const auto drawn = static_cast<std::size_t>(token);
  const double at = static_cast<double>(c.draw.random) * 0x1p-64 * possible;
  const double below = std::accumulate(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(drawn), 0.0);
  const double distance = std::max({0.0, below - at, at - below - weights[drawn]});
  found.expect(weights[drawn] > 0, [&] { return fmt::format("{}: token {} cannot come; {}", where, token, describe(c)); });
  found.expect_near(distance / possible, 0, (slack + possible - certain) / possible, [&] { return where + ": " + describe(c); });
}

// Buffers of a launch of draws; scratch starts as poison, what must be zero as zero.
struct DrawBuffers {
  GuardedBuffer logits, draws, tokens, maxima, part_max, part_token, searches, thresholds, bin_counts, bin_masses, candidates, num_candidates,
      part_mass, part_ties, counters;

  DrawBuffers(Device& device, const std::vector<float>& all, const std::vector<DrawRow>& rows, std::size_t parts, std::size_t most)
      : logits(device, all), draws(device, rows), tokens(device, rows.size() * 4), maxima(device, rows.size() * 4), part_max(device, parts * 4),
        part_token(device, parts * 4), searches(device, rows.size() * sizeof(ThresholdSearch)), thresholds(device, rows.size() * sizeof(TokenThreshold)),
        bin_counts(device, std::vector<std::int32_t>(rows.size() * kNumBins)), bin_masses(device, std::vector<Mass>(rows.size() * kNumBins)),
        candidates(device, rows.size() * most * 4), num_candidates(device, std::vector<std::int32_t>(rows.size())),
        part_mass(device, parts * sizeof(Mass)), part_ties(device, parts * 4), counters(device, std::vector<std::int32_t>(rows.size())) {}

  // What counts is zero again, and nothing was written beside.
  bool are_intact(std::size_t num_rows) const {
    std::vector<std::int32_t> counts(num_rows * kNumBins), found(num_rows), arrived(num_rows);
    std::vector<Mass> masses(num_rows * kNumBins);
    bin_counts.download(counts.data());
    bin_masses.download(masses.data());
    num_candidates.download(found.data());
    counters.download(arrived.data());
    const auto is_zero = [](const auto& v) { return std::all_of(v.begin(), v.end(), [](auto x) { return x == 0; }); };
    const GuardedBuffer* all[] = {&tokens, &maxima, &part_max, &part_token, &searches, &thresholds, &bin_counts, &bin_masses, &candidates,
                                  &num_candidates, &part_mass, &part_ties, &counters};
    return is_zero(counts) && is_zero(masses) && is_zero(found) && is_zero(arrived) &&
           std::all_of(std::begin(all), std::end(all), [](const GuardedBuffer* b) { return b->guards_intact(); });
  }
};

std::vector<std::int32_t> run_draws(Device& device, const DrawBuffers& b, SampleDrawParams p) {
  SampleGreedyParams greedy{};
  p.logits = greedy.logits = b.logits.as<float>();
  p.tokens = greedy.tokens = b.tokens.as<int>();
  p.maxima = greedy.maxima = b.maxima.as<float>();
  greedy.part_max = b.part_max.as<float>();
  greedy.part_token = b.part_token.as<int>();
  p.counters = greedy.counters = b.counters.as<int>();
  greedy.num_rows = p.num_rows;
  greedy.vocab_size = p.vocab_size;
  greedy.num_parts = p.num_parts;
  greedy.part_len = p.part_len;
  p.draws = b.draws.as<DrawRow>();
  p.searches = b.searches.as<ThresholdSearch>();
  p.thresholds = b.thresholds.as<TokenThreshold>();
  p.bin_counts = b.bin_counts.as<int>();
  p.bin_masses = b.bin_masses.as<Mass>();
  p.candidates = b.candidates.as<float>();
  p.num_candidates = b.num_candidates.as<int>();
  p.part_mass = b.part_mass.as<Mass>();
  p.part_ties = b.part_ties.as<int>();
  for (int run = 0; run < 2; ++run) {
    device.run(RowVariant{KernelName::kSampleGreedy, DType::kF32}, greedy, p.num_rows * p.num_parts);
    for (const KernelName name :
         {KernelName::kSampleBins, KernelName::kSampleThreshold, KernelName::kSampleDraw}) {
      device.run(RowVariant{name, DType::kF32}, p, p.num_rows * p.num_parts);
    }
  }
  device.synchronize();
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(p.num_rows));
  b.tokens.download(tokens.data());
  return tokens;
}

void check_sample_draw(CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const int most = check.size < 1 ? 20000 : 262144;
  const int vocab_size = random.chance(0.3) ? random.pick({1, 2, 15, 16, 17, 257, most}) : random.between(1, 5000);
  std::vector<DrawProblem> problems;
  std::vector<float> logits;
  std::vector<DrawRow> draws;
  for (int r = random.between(1, 6); r > 0; --r) {
    problems.push_back(random_draw(random, vocab_size));
    logits.insert(logits.end(), problems.back().logits.begin(), problems.back().logits.end());
    draws.push_back(problems.back().draw);
  }
  SampleDrawParams p{};
  p.num_rows = static_cast<int>(problems.size());
  p.vocab_size = vocab_size;
  p.part_len = random.between(std::max(1, vocab_size / 40), vocab_size);
  p.num_parts = ceil_div(vocab_size, p.part_len);
  p.max_candidates = random.pick({1, 13, 256, 4096});
  const DrawBuffers buffers(check.device, logits, draws, problems.size() * static_cast<std::size_t>(p.num_parts),
                            static_cast<std::size_t>(p.max_candidates));
  const std::vector<std::int32_t> tokens = run_draws(check.device, buffers, p);
  for (std::size_t r = 0; r < problems.size(); ++r) {
    const DrawProblem& c = problems[r];
    const std::string where = fmt::format("row {} in parts of {}, {} candidates", r, p.part_len, p.max_candidates);
    const std::int32_t greedy = likeliest(c.logits.data(), vocab_size);
    if (greedy < 0 || c.draw.scale <= 0 || c.is_exact) {
      const std::int32_t want = greedy < 0 || c.draw.scale <= 0 ? greedy : exact_token(c, by_likelihood(c.logits));
      found.expect(tokens[r] == want, [&] { return fmt::format("{}: token {}, want {}; {}", where, tokens[r], want, describe(c)); });
    } else {
      const bool is_token = tokens[r] >= 0 && tokens[r] < vocab_size;
      found.expect(is_token, [&] { return fmt::format("{}: token {}; {}", where, tokens[r], describe(c)); });
      if (is_token) expect_plausible(c, tokens[r], found, where);
    }
  }
  found.expect(buffers.are_intact(problems.size()), [] { return "counters are not zero, or memory around the output was written"; });
}

}  // namespace

std::vector<Check> sampling_checks() {
  return {{"sample_greedy", "ties, masks, parts, NaN, infinities", 150, {DType::kF32}, check_sample_greedy},
          {"sample_draw", "temperature, top_k, top_p, min_p", 400, {DType::kF32}, check_sample_draw},
          {"take_tokens", "known and drawn", 50, {DType::kF32}, check_take_tokens}};
}

}  // namespace quire
