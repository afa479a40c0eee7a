// Sums of whole numbers, which do not depend on the order of their terms, and histograms of such sums.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

using Integer = unsigned long long;

QUIRE_DEV Integer join_words(unsigned lo, unsigned hi) { return static_cast<Integer>(hi) << 32 | lo; }
QUIRE_DEV Integer shuffle_xor(Integer x, int mask) {
  const float lo = shuffle_xor(from_bits(static_cast<unsigned>(x)), mask),
              hi = shuffle_xor(from_bits(static_cast<unsigned>(x >> 32)), mask);
  return join_words(bits_of(lo), bits_of(hi));
}

// For one number x in each thread: the sum over the threads before this one, and over all threads. Within a
// warp by butterfly shuffles, between warps through shared memory.
struct Prefix {
  Integer before, all;
};
QUIRE_DEV Prefix sum_before(Integer x) {
  Integer before = 0;
  for (int mask = 1; mask < kLaneCount; mask *= 2) {
    const Integer other = shuffle_xor(x, mask);
    if ((lane_idx() & mask) != 0) before += other;
    x += other;
  }
  unsigned* words = reinterpret_cast<unsigned*>(exchange_values());
  if (lane_idx() == 0) {
    words[2 * warp_idx()] = static_cast<unsigned>(x);
    words[2 * warp_idx() + 1] = static_cast<unsigned>(x >> 32);
  }
  block_barrier();
  Integer all = 0;
  for (int w = 0; w < num_warps(); ++w) {
    const Integer of_warp = join_words(words[2 * w], words[2 * w + 1]);
    if (w < warp_idx()) before += of_warp;
    all += of_warp;
  }
  block_barrier();
  return {before, all};
}

// The sum of f(i), rounded to whole numbers; 0 <= f < 2^51.
template <class F>
QUIRE_DEV Integer integer_sum(int n, const F& f) {
  Integer sum = 0;
  for (int first = thread_idx() * kSpan; first < n; first += num_threads() * kSpan) {
    const Span i = span_at(first, n);
    const Vec v = f(i);
#pragma unroll
    for (int j = 0; j < kSpan; ++j) sum += j < i.num ? to_integer(v.x[j]) : 0;
  }
  return sum_before(sum).all;
}

// Each round adds one span a thread, until the sum exceeds the target.
template <class F>
QUIRE_DEV int find_in_sum(Program&, int n, Integer target, const F& f) {
  for (int tile = 0; tile < n; tile += num_threads() * kSpan) {
    const int first = tile + thread_idx() * kSpan;
    Integer x[kSpan] = {}, sum = 0;
    if (first < n) {
      const Span i = span_at(first, n);
      const Vec v = f(i);
#pragma unroll
      for (int j = 0; j < kSpan; ++j) {
        x[j] = j < i.num ? to_integer(v.x[j]) : 0;
        sum += x[j];
      }
    }
    const Prefix prefix = sum_before(sum);
    if (target >= prefix.all) {
      target -= prefix.all;
      continue;
    }
    if (prefix.before <= target && target < prefix.before + sum) {
      int found = first;
      Integer left = target - prefix.before;
#pragma unroll
      for (int j = 0, goes_on = 1; j < kSpan; ++j) {
        goes_on = goes_on != 0 && left >= x[j] ? 1 : 0;
        if (goes_on != 0) left -= x[j], ++found;
      }
      *exchange_item() = found;
    }
    block_barrier();
    const int found = *exchange_item();
    block_barrier();
    return found;
  }
  return n;
}

// Counts and 64-bit sums for each bin. A sum is two words in shared memory, because 64-bit atomics on shared
// memory are compiled to loops.
struct Bins {
  static constexpr int kNum = 256;
  unsigned *counts, *lows, *highs;

  QUIRE_DEV explicit Bins(Program& program)
      : counts(reinterpret_cast<unsigned*>(program.take(3 * kNum * 4))) {
    lows = counts + kNum;
    highs = lows + kNum;
  }
  QUIRE_DEV int count(int bin) const { return static_cast<int>(counts[bin]); }
  QUIRE_DEV Integer mass(int bin) const { return join_words(lows[bin], highs[bin]); }
  QUIRE_DEV void set(int bin, Integer count, Integer mass) {
    counts[bin] = static_cast<unsigned>(count);
    lows[bin] = static_cast<unsigned>(mass);
    highs[bin] = static_cast<unsigned>(mass >> 32);
  }
};

QUIRE_DEV void clear(Bins& bins) {
  block_barrier();  // some threads may still read the bins
  for (int b = thread_idx(); b < Bins::kNum; b += num_threads()) bins.set(b, 0, 0);
  block_barrier();
}

template <class X, class W, class B>
QUIRE_DEV void add_to_bins(Bins& bins, int n, const X& x, const W& weight, const B& bin) {
  for (int first = thread_idx() * kSpan; first < n; first += num_threads() * kSpan) {
    const Span i = span_at(first, n);
    const Vec values = x(i), weights = weight(values);
#pragma unroll
    for (int j = 0; j < kSpan; ++j) {
      const Integer mass = j < i.num ? to_integer(weights.x[j]) : 0;
      if (mass == 0) continue;
      const int b = bin(values.x[j]);
      if (b < 0 || b >= Bins::kNum) continue;
      const unsigned low = static_cast<unsigned>(mass), was = atomic_add_shared(bins.lows + b, low);
      const unsigned high = static_cast<unsigned>(mass >> 32) + (was + low < was ? 1u : 0u);
      if (high != 0) atomic_add_shared(bins.highs + b, high);
      atomic_add_shared(bins.counts + b, 1);
    }
  }
  block_barrier();
}

QUIRE_DEV void sum_bins(Bins& bins) {
  Integer count = 0, mass = 0;
  for (int first = 0; first < Bins::kNum; first += num_threads()) {
    const int b = first + thread_idx();
    const bool is_bin = b < Bins::kNum;
    const Integer counted = is_bin ? static_cast<Integer>(bins.counts[b]) : 0,
                  summed = is_bin ? bins.mass(b) : 0;
    const Prefix counts = sum_before(counted), masses = sum_before(summed);
    if (is_bin) bins.set(b, count + counts.before + counted, mass + masses.before + summed);
    count += counts.all;
    mass += masses.all;
  }
  block_barrier();
}

QUIRE_DEV void give_bins(int* counts, Integer* masses, const Bins& bins) {
  for (int b = thread_idx(); b < Bins::kNum; b += num_threads()) {
    if (bins.counts[b] == 0) continue;
    atomic_add(counts + b, bins.count(b));
    atomic_add(masses + b, bins.mass(b));
  }
}
QUIRE_DEV void take_bins(Bins& bins, int* counts, Integer* masses) {
  for (int b = thread_idx(); b < Bins::kNum; b += num_threads()) {
    const unsigned* words = reinterpret_cast<const unsigned*>(masses + b);
    bins.set(b, load_fresh(reinterpret_cast<const unsigned*>(counts + b)),
             join_words(load_fresh(words), load_fresh(words + 1)));
    counts[b] = 0;
    masses[b] = 0;
  }
  block_barrier();
}

// One atomic addition reserves places in the list for all wanted elements of a span.
template <class X, class F>
QUIRE_DEV void append(float* list, int* counter, int most, int n, const X& x, const F& wanted) {
  for (int first = thread_idx() * kSpan; first < n; first += num_threads() * kSpan) {
    const Span i = span_at(first, n);
    const Vec v = x(i);
    unsigned found = 0;
    int num = 0;
#pragma unroll
    for (int j = 0; j < kSpan; ++j) {
      if (j < i.num && wanted(v.x[j])) found |= 1u << j, ++num;
    }
    if (num == 0) continue;
    int at = atomic_add(counter, num);
#pragma unroll
    for (int j = 0; j < kSpan; ++j) {
      if ((found >> j & 1u) == 0) continue;
      if (at < most) list[at] = v.x[j];
      ++at;
    }
  }
  block_barrier();
}
// By the program that arrived last: the value of the counter, which becomes 0 again.
QUIRE_DEV int take_count(int* counter) {
  block_barrier();  // some threads may still read the word, which last_arrival used too
  if (thread_idx() == 0) {
    *exchange_item() = static_cast<int>(load_fresh(reinterpret_cast<const unsigned*>(counter)));
    atomic_store(counter, 0);
  }
  block_barrier();
  const int count = *exchange_item();
  block_barrier();
  return count;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
