// Random draws from rows of logits: temperature, top_k, top_p and min_p. What is drawn is defined in
// kernels/params.h, at DrawRow.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {
namespace QUIRE_TARGET {

// Bins are intervals of weights, six an octave: enough for every weight that is not 0 to lie in one of
// kNumBins.
constexpr int kBinsPerOctave = 6;
static_assert(kBinsPerOctave * (kDrawWeightBits + 2) <= kNumBins, "the least weight has a bin");

// Turns a row's logits into weights. A weight is in units of which sums count whole numbers.
struct Weigher {
  float max, scale, min_weight;

  QUIRE_DEV Weigher(const SampleDrawParams& p, int row)
      : max(p.maxima[row]), scale(p.draws[row].scale), min_weight(p.draws[row].min_weight) {}

  template <class X>
  QUIRE_DEV X operator()(X x) const {
    const X weight = exp2((x - max) * scale);
    return select(weight >= min_weight, weight, X{} + 0.0f) * kUnits;
  }
  // The bin of a logit is the whole part of its level. Each operation is monotone, so that a bin is an
  // interval of logits. The level of -inf is infinite.
  template <class X>
  QUIRE_DEV X level(X x) const {
    return (x - max) * scale * -static_cast<float>(kBinsPerOctave);
  }
  QUIRE_DEV bool counts(float x) const { return (*this)(x) > 0.5f; }

 private:
  static constexpr float kUnits = static_cast<float>(1ull << kDrawWeightBits);
};

// A part of a row.
struct RowPart {
  int row, begin, num;
  const float* logits;

  QUIRE_DEV RowPart(const SampleDrawParams& p, int item)
      : row(item / p.num_parts), begin(item % p.num_parts * p.part_len) {
    num = p.vocab_size - begin < p.part_len ? p.vocab_size - begin : p.part_len;
    logits = p.logits + long{row} * p.vocab_size + begin;
  }
};

QUIRE_DEV bool is_drawn(const SampleDrawParams& p, int row) {
  return p.draws[row].scale > 0 && p.tokens[row] >= 0;
}
QUIRE_DEV bool has_threshold(const SampleDrawParams& p, int row) {
  return is_drawn(p, row) && (p.draws[row].top_k > 0 || p.draws[row].top_p > 0);
}

// The upper 64 bits of a * b.
QUIRE_DEV Mass multiply_high(Mass a, Mass b) {
  const Mass a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const Mass middle = a1 * b0 + (a0 * b0 >> 32), low = a0 * b1 + (middle & 0xffffffffu);
  return a1 * b1 + (middle >> 32) + (low >> 32);
}
// top_p of `total`, rounded up, at least 1.
QUIRE_DEV Mass mass_of(Mass top_p, Mass total) {
  const Mass mass = multiply_high(top_p, total) + (top_p * total != 0 ? 1 : 0);
  return mass > 0 ? mass : 1;
}

// The first bin for which `holds`, which is false up to some bin and true from there on, at the latest for
// the last one.
template <class F>
QUIRE_DEV int first_bin(const F& holds) {
  int bin = 0;
  for (int step = kNumBins / 2; step > 0; step /= 2) {
    if (!holds(bin + step - 1)) bin += step;
  }
  return bin;
}

// First launch. One work item counts a part of a row; the last program to finish a row finds the bins between
// which the row's threshold lies.
struct SampleBins {
  static QUIRE_DEV void run(Program& program, const SampleDrawParams& p) {
    for_each_work(program, p.num_rows * p.num_parts, [&](int item) {
      const RowPart part(p, item);
      if (!has_threshold(p, part.row)) return;
      const Weigher weigh(p, part.row);
      Bins bins(program);
      clear(bins);
      add_to_bins(
          bins, part.num, [&](auto i) { return load(part.logits, i); }, weigh,
          [&](float x) { return static_cast<int>(weigh.level(x)); });
      int* counts = p.bin_counts + long{part.row} * kNumBins;
      Mass* masses = p.bin_masses + long{part.row} * kNumBins;
      give_bins(counts, masses, bins);
      if (!last_arrival(program, p.counters + part.row, p.num_parts)) return;
      take_bins(bins, counts, masses);
      sum_bins(bins);
      p.searches[part.row] = bracket(bins, p.draws[part.row]);
    });
  }

 private:
  // The counts tell in which bin the last of the top_k tokens lies. Which tokens of that bin it leaves is not
  // known yet, so that the mass for top_p has a lower and an upper bound, and each of them gives a bin.
  static QUIRE_DEV ThresholdSearch bracket(const Bins& bins, const DrawRow& draw) {
    ThresholdSearch s{};
    s.total = bins.mass(kNumBins - 1);
    s.has_top_k = draw.top_k > 0 && bins.count(kNumBins - 1) > draw.top_k ? 1 : 0;
    Mass least_total = s.total, most_total = s.total;
    s.first_bin = s.last_bin = kNumBins - 1;
    if (s.has_top_k != 0) {
      s.first_bin = s.last_bin = first_bin([&](int bin) { return bins.count(bin) >= draw.top_k; });
      most_total = bins.mass(s.last_bin);
      least_total = s.last_bin > 0 ? bins.mass(s.last_bin - 1) : 0;
    }
    if (draw.top_p > 0) {
      const Mass least = mass_of(draw.top_p, least_total), most = mass_of(draw.top_p, most_total);
      s.first_bin = first_bin([&](int bin) { return bins.mass(bin) >= least; });
      if (s.has_top_k == 0) s.last_bin = first_bin([&](int bin) { return bins.mass(bin) >= most; });
    }
    if (s.first_bin > 0) {
      s.mass_before = bins.mass(s.first_bin - 1);
      s.count_before = bins.count(s.first_bin - 1);
    }
    return s;
  }
};

// Second launch. One work item appends the logits of a part of a row that lie in the bins found before to the
// row's list of candidates; the last program to finish a row finds the threshold among them. That takes up to
// four passes over the candidates for top_k, and as many for top_p.
struct SampleThreshold {
  static QUIRE_DEV void run(Program& program, const SampleDrawParams& p) {
    for_each_work(program, p.num_rows * p.num_parts, [&](int item) {
      const RowPart part(p, item);
      if (!has_threshold(p, part.row)) return;
      const Weigher weigh(p, part.row);
      const ThresholdSearch s = p.searches[part.row];
      float* list = p.candidates + long{part.row} * p.max_candidates;
      append(
          list, p.num_candidates + part.row, p.max_candidates, part.num,
          [&](auto i) { return load(part.logits, i); },
          [&](float x) { return is_in(s, weigh.level(x)) && weigh.counts(x); });
      if (!last_arrival(program, p.counters + part.row, p.num_parts)) return;
      const int num = take_count(p.num_candidates + part.row);
      const bool is_list = num <= p.max_candidates;
      p.thresholds[part.row] =
          Search{program, weigh, s, is_list ? list : p.logits + long{part.row} * p.vocab_size,
                 is_list ? num : p.vocab_size}
              .run(p.draws[part.row]);
    });
  }

 private:
  static QUIRE_DEV bool is_in(const ThresholdSearch& s, float level) {
    return level >= static_cast<float>(s.first_bin) && level < static_cast<float>(s.last_bin + 1);
  }

  // A whole number that decreases with the logit. -0 and 0 have the same.
  static QUIRE_DEV unsigned key_of(float x) {
    const unsigned bits = bits_of(x + 0.0f);
    return bits >> 31 != 0 ? bits : bits ^ 0x7fffffffu;
  }
  static QUIRE_DEV float of_key(unsigned key) { return from_bits(key >> 31 != 0 ? key : key ^ 0x7fffffffu); }

  // A threshold, and the mass of the tokens that it keeps.
  struct Found {
    TokenThreshold threshold;
    Mass mass;
  };

  struct Search {
    Program& program;
    const Weigher& weigh;
    const ThresholdSearch& s;
    const float* logits;  // the candidates, or the whole row, whose logits in other bins are skipped
    int num;

    QUIRE_DEV TokenThreshold run(const DrawRow& draw) const {
      const float above = reduce_max(num, [&](auto i) { return in_bins(i, 1.0f); });
      const unsigned first = key_of(above),
                     last = key_of(-reduce_max(num, [&](auto i) { return in_bins(i, -1.0f); }));
      Bins bins(program);
      Found found{{kNegInf, 0}, s.total};
      if (s.has_top_k != 0)
        found = descend(bins, first, last, [&](int count, Mass) { return count >= draw.top_k; });
      if (draw.top_p > 0) {
        const Mass least = mass_of(draw.top_p, found.mass);
        found = descend(bins, first, last, [&](int, Mass mass) { return mass >= least; });
      }
      return found.threshold;
    }

   private:
    template <class I>
    QUIRE_DEV auto in_bins(I i, float sign) const {
      const auto x = load(logits, i), level = weigh.level(x), none = zeros(i) + kNegInf;
      return select(level >= static_cast<float>(s.first_bin),
                    select(level < static_cast<float>(s.last_bin + 1), x * sign, none), none);
    }

    // Keeps the fewest of the likeliest tokens for whose number and mass `is_enough` holds. All keys lie in
    // [first, last]. Each pass divides the interval of keys by 256.
    template <class F>
    QUIRE_DEV Found descend(Bins& bins, unsigned first, unsigned last, const F& is_enough) const {
      int count = s.count_before, shift = 0;
      Mass mass = s.mass_before;
      while ((last - first) >> shift >= kNumBins) ++shift;
      for (;;) {
        clear(bins);
        add_to_bins(
            bins, num, [&](auto i) { return load(logits, i); }, weigh,
            [&](float x) {
              const unsigned key = key_of(x), bin = (key - first) >> shift;
              return is_in(s, weigh.level(x)) && key >= first && bin < kNumBins ? static_cast<int>(bin) : -1;
            });
        sum_bins(bins);
        const int bin =
            first_bin([&](int b) { return is_enough(count + bins.count(b), mass + bins.mass(b)); });
        const int num_before = bin > 0 ? bins.count(bin - 1) : 0, num_in = bins.count(bin) - num_before;
        const Mass mass_before = bin > 0 ? bins.mass(bin - 1) : 0, mass_in = bins.mass(bin) - mass_before;
        count += num_before;
        mass += mass_before;
        first += static_cast<unsigned>(bin) << shift;
        const unsigned end = first + ((1u << shift) - 1u);
        if (num_in == 1) return {{of_key(end < last ? end : last), kAllTies}, mass + mass_in};
        if (shift == 0) return threshold_in_ties(first, num_in, count, mass, mass_in, is_enough);
        shift = shift > 8 ? shift - 8 : 0;
      }
    }

    // num_in tokens have the same logit: finds how many of them are needed.
    template <class F>
    static QUIRE_DEV Found threshold_in_ties(unsigned key, int num_in, int count, Mass mass, Mass mass_in,
                                             const F& is_enough) {
      const Mass weight = num_in > 0 ? mass_in / static_cast<Mass>(num_in) : 0;
      int least = 1, most = num_in;
      while (least < most) {
        const int middle = least + (most - least) / 2;
        if (is_enough(count + middle, mass + weight * static_cast<Mass>(middle))) {
          most = middle;
        } else {
          least = middle + 1;
        }
      }
      return {{of_key(key), least}, mass + weight * static_cast<Mass>(least)};
    }
  };
};

// Third launch. One work item sums the mass that is kept in a part of a row; the last program to finish a row
// draws its token.
struct SampleDraw {
  static QUIRE_DEV void run(Program& program, const SampleDrawParams& p) {
    for_each_work(program, p.num_rows * p.num_parts, [&](int item) {
      const RowPart part(p, item);
      if (!is_drawn(p, part.row)) return;
      const Weigher weigh(p, part.row);
      const TokenThreshold threshold =
          has_threshold(p, part.row) ? p.thresholds[part.row] : TokenThreshold{kNegInf, 0};
      const bool counts_ties = threshold.num_ties != 0 && threshold.num_ties != kAllTies;
      p.part_mass[item] = integer_sum(part.num, [&](auto i) {
        return kept_weight(part, weigh, threshold, i, counts_ties ? -1 : part.num);
      });
      p.part_ties[item] =
          counts_ties
              ? static_cast<int>(integer_sum(part.num, [&](auto i) { return is_tie(part, threshold, i); }))
              : 0;
      if (last_arrival(program, p.counters + part.row, p.num_parts))
        choose(program, p, part.row, weigh, threshold);
    });
  }

 private:
  template <class I>
  static QUIRE_DEV auto is_tie(const RowPart& part, const TokenThreshold& threshold, I i) {
    return select(load(part.logits, i) == threshold.least, zeros(i) + 1.0f, zeros(i));
  }
  // Of the logits that are equal to the threshold, those up to element last_tie of the part are kept.
  template <class I>
  static QUIRE_DEV auto kept_weight(const RowPart& part, const Weigher& weigh,
                                    const TokenThreshold& threshold, I i, int last_tie) {
    const auto x = load(part.logits, i), weight = weigh(x), none = zeros(i);
    const auto of_tie = select(to_f32(index(i)) < to_f32(last_tie) + 0.5f, weight, none);
    return select(x == threshold.least, of_tie, select(x > threshold.least, weight, none));
  }

  static QUIRE_DEV void choose(Program& program, const SampleDrawParams& p, int row, const Weigher& weigh,
                               const TokenThreshold& threshold) {
    const int first_item = row * p.num_parts;
    Mass total = 0;
    int num_ties = 0;
    for (int item = first_item; item < first_item + p.num_parts; ++item) {
      total += p.part_mass[item];
      num_ties += p.part_ties[item];
    }
    const Mass tie = num_ties > 0 ? to_integer(weigh(threshold.least)) : 0;
    int ties_left = num_ties < threshold.num_ties ? num_ties : threshold.num_ties;
    Mass target =
        multiply_high(p.draws[row].random, total + tie * static_cast<Mass>(num_ties > 0 ? ties_left : 0));
    for (int item = first_item; item < first_item + p.num_parts; ++item) {
      const int ties = p.part_ties[item], kept = ties < ties_left ? ties : ties_left;
      const Mass mass = p.part_mass[item] + tie * static_cast<Mass>(kept);
      if (target < mass) {
        const RowPart part(p, item);
        int last_tie = part.num;
        if (num_ties > 0 && kept < ties) {
          last_tie = kept == 0 ? -1
                               : find_in_sum(program, part.num, static_cast<Mass>(kept - 1),
                                             [&](auto i) { return is_tie(part, threshold, i); });
        }
        const int found = find_in_sum(program, part.num, target, [&](auto i) {
          return kept_weight(part, weigh, threshold, i, last_tie);
        });
        if (found < part.num) p.tokens[row] = part.begin + found;
        return;
      }
      target -= mass;
      ties_left -= kept;
    }
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
