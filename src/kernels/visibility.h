// Which keys a query sees, and how its scores are changed. Kernel, planner, cost model, cache and bench all
// use this file; only the oracles of the tests repeat it, on purpose. Positions count a request's tokens from
// 0.
#pragma once

namespace quire {

// Keys [begin, end).
struct KeyRange {
  int begin, end;
  constexpr int size() const { return end - begin; }
};

// No request is longer, so that a position plus a window fits an int.
constexpr int kMaxContext = 1 << 30;

// A query at position p sees keys up to p if `causal`, and no key further than window - 1 to its left (nor,
// if not causal, to its right) where there is a window.
struct Visibility {
  int causal;  // 0 or 1
  int window;  // keys, the query's own included; 0: all; at most kMaxContext

  // The keys that one query sees, before clipping to the keys that exist: the first may be negative, and the
  // end may be larger than kv_len.
  constexpr int first_key(int position) const { return window > 0 ? position - window + 1 : 0; }
  constexpr int end_key(int position, int kv_len) const {
    return causal ? position + 1 : window > 0 ? position + window : kv_len;
  }

  // Keys of a request of `kv_len` that any query at positions [first, last] sees.
  constexpr KeyRange of_rows(int first, int last, int kv_len) const {
    const int end = clamp(end_key(last, kv_len), 0, kv_len);
    return {clamp(first_key(first), 0, end), end};
  }

  // The number of pairs of a query and a key that it sees, for queries at the last `query_len` positions of
  // `kv_len`.
  constexpr long long pairs(int query_len, int kv_len) const {
    const int first = kv_len - query_len;
    const long long ends = causal || window > 0 ? sum_of_clamped(end_key(first, kv_len), query_len, kv_len)
                                                : static_cast<long long>(query_len) * kv_len;
    return ends - (window > 0 ? sum_of_clamped(first_key(first), query_len, kv_len) : 0);
  }

 private:
  static constexpr int clamp(int x, int least, int most) { return x < least ? least : x > most ? most : x; }

  // Sum of clamp(first + i, 0, most) over i in [0, n).
  static constexpr long long sum_of_clamped(long long first, long long n, long long most) {
    const long long below = first >= 0 ? 0 : -first < n ? -first : n;
    const long long up_to_most = most - first <= 0 ? 0 : most - first < n ? most - first : n;
    const long long inside = up_to_most > below ? up_to_most - below : 0;
    return inside * (first + below) + inside * (inside - 1) / 2 + (n - below - inside) * most;
  }
};

// Changes to scores beyond scale * q k and the mask. A kernel is compiled with some of them, and the host
// refuses a launch that needs others.
enum ScoreMods : unsigned {
  kModSoftCap = 1,      // cap * tanh(score / cap)
  kModBias = 2,         // by the distance of query and key
  kModSignedScale = 4,  // a scale that is not positive: the largest product is not the largest score
};
constexpr unsigned kAllScoreMods = kModSoftCap | kModBias | kModSignedScale;

}  // namespace quire
