// Elementwise work on rows, eight elements at a time: 16 bytes of 16-bit elements. For any machine of lanes;
// included after the target's program.h.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

constexpr int kSpan = kSpanElems;
// True if the host has checked that all rows have a multiple of eight elements and begin at multiples of 16
// bytes.
#if QUIRE_WHOLE_SPANS || QUIRE_EXACT_HEADS
constexpr bool kWholeSpans = true;
#else
constexpr bool kWholeSpans = false;
#endif

// Elements [first, first + num) of a row, up to eight.
struct Span {
  int first, num;
};

// The values of a span. Those beyond `num` are arbitrary.
struct Vec {
  float x[kSpan];
  Vec() = default;
  QUIRE_DEV Vec(float same) {
#pragma unroll
    for (int i = 0; i < kSpan; ++i) x[i] = same;
  }
};
struct VecMask {
  bool x[kSpan];
};

template <class F>
QUIRE_DEV Vec vec_of(const F& f) {
  Vec v;
#pragma unroll
  for (int i = 0; i < kSpan; ++i) v.x[i] = f(i);
  return v;
}
QUIRE_DEV Vec operator+(const Vec& a, const Vec& b) {
  return vec_of([&](int i) { return a.x[i] + b.x[i]; });
}
QUIRE_DEV Vec operator-(const Vec& a, const Vec& b) {
  return vec_of([&](int i) { return a.x[i] - b.x[i]; });
}
QUIRE_DEV Vec operator*(const Vec& a, const Vec& b) {
  return vec_of([&](int i) { return a.x[i] * b.x[i]; });
}
QUIRE_DEV Vec operator/(const Vec& a, const Vec& b) {
  return vec_of([&](int i) { return a.x[i] / b.x[i]; });
}
QUIRE_DEV Vec operator-(const Vec& a) {
  return vec_of([&](int i) { return -a.x[i]; });
}
template <class F>
QUIRE_DEV VecMask mask_of(const F& f) {
  VecMask mask;
#pragma unroll
  for (int i = 0; i < kSpan; ++i) mask.x[i] = f(i);
  return mask;
}
QUIRE_DEV VecMask operator==(const Vec& a, const Vec& b) {
  return mask_of([&](int i) { return a.x[i] == b.x[i]; });
}
QUIRE_DEV VecMask operator<(const Vec& a, const Vec& b) {
  return mask_of([&](int i) { return a.x[i] < b.x[i]; });
}
QUIRE_DEV VecMask operator>(const Vec& a, const Vec& b) {
  return mask_of([&](int i) { return a.x[i] > b.x[i]; });
}
QUIRE_DEV VecMask operator>=(const Vec& a, const Vec& b) {
  return mask_of([&](int i) { return a.x[i] >= b.x[i]; });
}
QUIRE_DEV Vec select(const VecMask& mask, const Vec& a, const Vec& b) {
  return vec_of([&](int i) { return mask.x[i] ? a.x[i] : b.x[i]; });
}
QUIRE_DEV Vec exp2(const Vec& a) {
  return vec_of([&](int i) { return exp2(a.x[i]); });
}
QUIRE_DEV Vec tanh(const Vec& a) {
  return vec_of([&](int i) { return tanh(a.x[i]); });
}
QUIRE_DEV Vec erf(const Vec& a) {
  return vec_of([&](int i) { return erf(a.x[i]); });
}
template <class E>
QUIRE_DEV Vec round_to(const Vec& a) {
  return vec_of([&](int i) { return round_to<E>(a.x[i]); });
}

// The numbers of a span's elements.
struct Indices {
  int first;
};
QUIRE_DEV Indices index(Span i) { return {i.first}; }
QUIRE_DEV Vec to_f32(Indices i) {
  return vec_of([&](int j) { return to_f32(i.first + j); });
}
QUIRE_DEV Vec zeros(Span) { return Vec(0.0f); }
QUIRE_DEV bool is_first(Span i) { return i.first == 0; }

// Eight elements from and to aligned memory.
QUIRE_DEV Vec load_whole(const float* p) {
  unsigned lo[4], hi[4];
  load_bits(lo, p);
  load_bits(hi, p + 4);
  return vec_of([&](int i) { return from_bits(i < 4 ? lo[i % 4] : hi[i % 4]); });
}
template <class E>
QUIRE_DEV Vec load_whole(const E* p) {
  unsigned bits[4];
  load_bits(bits, p);
  return vec_of([&](int i) { return to_f32(E{static_cast<unsigned short>(bits[i / 2] >> i % 2 * 16)}); });
}
QUIRE_DEV void store_whole(float* p, const Vec& v) {
  store_bits(p, {bits_of(v.x[0]), bits_of(v.x[1]), bits_of(v.x[2]), bits_of(v.x[3])});
  store_bits(p + 4, {bits_of(v.x[4]), bits_of(v.x[5]), bits_of(v.x[6]), bits_of(v.x[7])});
}
template <class E>
QUIRE_DEV void store_whole(E* p, const Vec& v) {
  store_bits(p, {pack_pair(E{}, v.x[0], v.x[1]), pack_pair(E{}, v.x[2], v.x[3]),
                 pack_pair(E{}, v.x[4], v.x[5]), pack_pair(E{}, v.x[6], v.x[7])});
}

template <class E>
QUIRE_DEV Vec load(const E* p, Span i) {
  const E* from = p + i.first;
  if (kWholeSpans || (i.num == kSpan && address_of(from) % 16 == 0)) return load_whole(from);
  return vec_of([&](int j) { return j < i.num ? to_f32(from[j]) : 0.0f; });
}
QUIRE_DEV Vec load_fresh(const float* p, Span i) {
  if constexpr (kWholeSpans) {
    const Values4 lo = load_fresh_128(p + i.first), hi = load_fresh_128(p + i.first + 4);
    Vec v;
    v.x[0] = lo.x, v.x[1] = lo.y, v.x[2] = lo.z, v.x[3] = lo.w;
    v.x[4] = hi.x, v.x[5] = hi.y, v.x[6] = hi.z, v.x[7] = hi.w;
    return v;
  }
  return vec_of([&](int j) { return j < i.num ? load_fresh(p + i.first + j) : 0.0f; });
}
template <class E>
QUIRE_DEV void store(E* p, Span i, const Vec& v) {
  E* to = p + i.first;
  if (kWholeSpans || (i.num == kSpan && address_of(to) % 16 == 0)) return store_whole(to, v);
#pragma unroll
  for (int j = 0; j < kSpan; ++j) {
    if (j < i.num) to[j] = Rounded<E>::of(v.x[j]);
  }
}

template <class E>
constexpr int kChunkElems = 16 / static_cast<int>(sizeof(E));
// 32 bits from p: two 16-bit elements or one f32. Only the first `num` elements may be read; others are 0.
template <class E>
QUIRE_DEV unsigned chunk_bits(const E* p, int num) {
  return num <= 0 ? 0u : p[0].bits | (num > 1 ? static_cast<unsigned>(p[1].bits) << 16 : 0u);
}
QUIRE_DEV unsigned chunk_bits(const float* p, int num) { return num <= 0 ? 0u : bits_of(*p); }

// A chunk of global memory into registers: elements [col, col + chunk) of a row of `cols`, zeros beyond and
// where `row` is null.
template <class E>
QUIRE_DEV void load_chunk(unsigned (&x)[4], const E* row, int col, int cols) {
  constexpr int kElems = kChunkElems<E> / 4;  // of 32 bits
  const E* from = row + col;
  const int num = row == nullptr ? 0 : cols - col;
  if (num >= kChunkElems<E> && address_of(from) % 16 == 0) return load_bits(x, from);
#pragma unroll
  for (int i = 0; i < 4; ++i) x[i] = chunk_bits(from + i * kElems, num - i * kElems);
}

QUIRE_DEV Span span_at(int first, int n) {
  return {first, kWholeSpans || n - first > kSpan ? kSpan : n - first};
}

// f(i) for all of n elements by all threads; in every call the same thread has the same i. Ends with a
// barrier of the block.
template <class F>
QUIRE_DEV void map(int n, const F& f) {
  for (int i = thread_idx() * kSpan; i < n; i += num_threads() * kSpan) f(span_at(i, n));
  block_barrier();
}
// f(row, i) for n elements of each row, by the consumer warps.
template <class F>
QUIRE_DEV void map(int num_rows, int n, const F& f) {
  if (is_producer()) return;
  const int spans = ceil_div(n, kSpan), num = kHasProducer ? kWarps * kLaneCount : num_threads();
  for (int i = thread_idx(); i < num_rows * spans; i += num) f(i / spans, span_at(i % spans * kSpan, n));
  consumer_barrier();
}
// Pieces of a row that are worth a program: a span for each thread.
QUIRE_DEV Pieces row_pieces(int n) { return pieces_of_size(n, num_threads() * kSpan); }

// use(load(0)), ..., use(load(n - 1)) in this order; `at_once` loads are issued before the first of their
// uses.
template <int at_once, class Load, class Use>
QUIRE_DEV void for_each_ordered(int n, const Load& load, const Use& use) {
  for (int first = 0; first < n; first += at_once) {
    decltype(load(0)) loaded[at_once];
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      if (first + j < n) loaded[j] = load(first + j);
    }
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      if (first + j < n) use(loaded[j]);
    }
  }
}

// Brings constant memory that will be read soon into the first-level cache. The sum and its unlikely use keep
// the compiler from removing the loads.
template <class E>
QUIRE_DEV void prefetch_row(const E* p, int n) {
  float sum = 0;
  for (int i = thread_idx() * kSpan; i < n; i += num_threads() * kSpan) sum += to_f32(p[i]);
  if (any_lane(sum == 1.2345678e-30f) && lane_idx() == 0) exchange_values()[kLaneCount + warp_idx()] = sum;
}

// Joins the values of all threads and gives the result to each of them. `join` is associative; every thread
// joins the results of the warps in the same order, so that all have the same bits.
template <class Join>
QUIRE_DEV float reduce_block(float x, const Join& join) {
  for (int mask = kLaneCount / 2; mask > 0; mask /= 2) x = join(x, shuffle_xor(x, mask));
  if (lane_idx() == 0) exchange_values()[warp_idx()] = x;
  block_barrier();
  x = exchange_values()[0];
  for (int w = 1; w < num_warps(); ++w) x = join(x, exchange_values()[w]);
  block_barrier();
  return x;
}
template <class Join>
QUIRE_DEV float reduce_vec(const Vec& v, int num, float neutral, const Join& join) {
  float part[kSpan];
#pragma unroll
  for (int j = 0; j < kSpan; ++j) part[j] = j < num ? v.x[j] : neutral;
#pragma unroll
  for (int width = kSpan / 2; width > 0; width /= 2) {
#pragma unroll
    for (int j = 0; j < width; ++j) part[j] = join(part[j], part[j + width]);
  }
  return part[0];
}
// Four or two spans at a time, so that their loads overlap.
template <class F, class Join>
QUIRE_DEV float reduce_spans(int n, float neutral, const F& f, const Join& join) {
  const int stride = num_threads() * kSpan;
  float all = neutral;
  int first = thread_idx() * kSpan;
  for (; first + 3 * stride + kSpan <= n; first += 4 * stride) {
    const Vec v[4] = {f(span_at(first, n)), f(span_at(first + stride, n)), f(span_at(first + 2 * stride, n)),
                      f(span_at(first + 3 * stride, n))};
#pragma unroll
    for (int j = 0; j < 4; ++j) all = join(all, reduce_vec(v[j], kSpan, neutral, join));
  }
  for (; first < n; first += 2 * stride) {
    const bool is_pair = first + stride < n;
    const Span i = span_at(first, n), j = span_at(is_pair ? first + stride : first, n);
    const Vec v[2] = {f(i), f(j)};
    all = join(all, reduce_vec(v[0], i.num, neutral, join));
    if (is_pair) all = join(all, reduce_vec(v[1], j.num, neutral, join));
  }
  return reduce_block(all, join);
}
template <class F>
QUIRE_DEV float reduce_sum(int n, const F& f) {
  return reduce_spans(n, 0.0f, f, [](float a, float b) { return a + b; });
}
template <class F>
QUIRE_DEV float reduce_max(int n, const F& f) {
  return reduce_spans(n, kNegInf, f, [](float a, float b) { return vec_max(a, b); });
}

}  // namespace QUIRE_TARGET
}  // namespace quire
