// Sums of whole numbers, which do not depend on the order of their terms, and histograms of such sums.
#pragma once

#include "targets/cpu/tile/program.h"

namespace quire {
namespace QUIRE_TARGET {

typedef double VecD __attribute__((vector_size(kLanes * 8)));
typedef unsigned long long VecL __attribute__((vector_size(kLanes * 8)));

// A double in [2^52, 2^53) is a whole number, and its bits are a constant plus that number. Adding 2^52
// rounds a smaller number to nearest even.
constexpr double kWholeNumbers = 4503599627370496.0;
constexpr unsigned long long kWholeBits = 0x4330000000000000ull;

QUIRE_DEV unsigned long long to_integer(float x) {
  return bit_cast_to<unsigned long long>(static_cast<double>(x) + kWholeNumbers) - kWholeBits;
}
QUIRE_DEV VecL to_integers(VecF x) {
  return bit_cast_to<VecL>(__builtin_convertvector(x, VecD) + kWholeNumbers) - kWholeBits;
}

QUIRE_DEV unsigned bits_of(float x) { return bit_cast_to<unsigned>(x); }
QUIRE_DEV float from_bits(unsigned bits) { return bit_cast_to<float>(bits); }

// The sum of f(i), rounded to whole numbers; 0 <= f < 2^51.
template <class F>
QUIRE_DEV unsigned long long integer_sum(int n, const F& f) {
  VecL sum{};
  map(n, [&](Span i) {
    const VecF x = f(i);
    sum += to_integers(i.num == kLanes ? x : select(iota(0) < i.num, x, 0.0f));
  });
  unsigned long long all = 0;
  for (int lane = 0; lane < kLanes; ++lane) all += sum[lane];
  return all;
}

// Adds large pieces until the sum exceeds the target, then smaller pieces of the last one, then elements.
template <class F>
QUIRE_DEV int find_in_sum(Program&, int n, unsigned long long target, const F& f) {
  int first = 0;
  for (int width = 32 * kLanes; width > 0; width = width > kLanes ? kLanes : width > 1 ? 1 : 0) {
    for (; first < n; first += width) {
      const unsigned long long sum = integer_sum(n - first < width ? n - first : width, [&](Span i) {
        return f(Span{first + i.first, i.num});
      });
      if (target < sum) break;
      target -= sum;
    }
  }
  return first < n ? first : n;
}

// Counts and 64-bit sums for each bin.
struct Bins {
  static constexpr int kNum = 256;
  int* counts;
  unsigned long long* masses;

  explicit Bins(Program& program)
      : counts(program.take<int>(kNum)), masses(program.take<unsigned long long>(kNum)) {}
  int count(int bin) const { return counts[bin]; }
  unsigned long long mass(int bin) const { return masses[bin]; }
};

QUIRE_DEV void clear(Bins& bins) {
  for (int b = 0; b < Bins::kNum; ++b) bins.counts[b] = 0, bins.masses[b] = 0;
}

template <class X, class W, class B>
QUIRE_DEV void add_to_bins(Bins& bins, int n, const X& x, const W& weight, const B& bin) {
  map(n, [&](Span i) {
    const VecF all = x(i);
    float values[kLanes];
    unsigned long long weights[kLanes];
    store_bits(values, all);
    store_bits(weights, to_integers(weight(all)));
    for (int lane = 0; lane < i.num; ++lane) {
      if (weights[lane] == 0) continue;
      const int b = bin(values[lane]);
      if (b < 0 || b >= Bins::kNum) continue;
      ++bins.counts[b];
      bins.masses[b] += weights[lane];
    }
  });
}

QUIRE_DEV void sum_bins(Bins& bins) {
  for (int b = 1; b < Bins::kNum; ++b) {
    bins.counts[b] += bins.counts[b - 1];
    bins.masses[b] += bins.masses[b - 1];
  }
}

QUIRE_DEV void give_bins(int* counts, unsigned long long* masses, const Bins& bins) {
  for (int b = 0; b < Bins::kNum; ++b) {
    if (bins.counts[b] == 0) continue;
    __atomic_fetch_add(counts + b, bins.counts[b], __ATOMIC_RELAXED);
    __atomic_fetch_add(masses + b, bins.masses[b], __ATOMIC_RELAXED);
  }
}
QUIRE_DEV void take_bins(Bins& bins, int* counts, unsigned long long* masses) {
  for (int b = 0; b < Bins::kNum; ++b) {
    bins.counts[b] = __atomic_exchange_n(counts + b, 0, __ATOMIC_RELAXED);
    bins.masses[b] = __atomic_exchange_n(masses + b, 0ull, __ATOMIC_RELAXED);
  }
}

template <class X, class F>
QUIRE_DEV void append(float* list, int* counter, int most, int n, const X& x, const F& wanted) {
  map(n, [&](Span i) {
    float values[kLanes];
    store_bits(values, x(i));
    for (int lane = 0; lane < i.num; ++lane) {
      if (!wanted(values[lane])) continue;
      const int at = __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
      if (at < most) list[at] = values[lane];
    }
  });
}
QUIRE_DEV int take_count(int* counter) { return __atomic_exchange_n(counter, 0, __ATOMIC_RELAXED); }

}  // namespace QUIRE_TARGET
}  // namespace quire
