// Merge of two partial attentions over disjoint keys, given as normalised outputs and natural log-sum-exp.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {
namespace QUIRE_TARGET {

// A side whose weight is 0 is never read, because a call without keys may leave its output undefined. An lse
// of +inf, which other libraries write for an empty set of keys, is treated like -inf.
template <class E>
struct MergeState {
  static QUIRE_DEV float log2_of(float lse) { return lse == -kNegInf ? kNegInf : lse * kLog2E; }

  static QUIRE_DEV void run(Program& program, const MergeStateParams& p) {
    for_each_work(program, p.num_rows, [&](int row) {
      const float a = log2_of(p.lse_a[row]), b = log2_of(p.lse_b[row]);
      const float m = a > b ? a : b;
      const float da = a == kNegInf ? 0.0f : exp2(a - m), db = b == kNegInf ? 0.0f : exp2(b - m);
      const float d = da + db;
      const float wa = d > 0 ? da / d : 0.0f, wb = d > 0 ? db / d : 0.0f;
      const E* o_a = static_cast<const E*>(p.o_a) + long{row} * p.head_dim;
      const E* o_b = static_cast<const E*>(p.o_b) + long{row} * p.head_dim;
      E* o = static_cast<E*>(p.o) + long{row} * p.head_dim;
      map(p.head_dim, [&](auto i) {
        auto x = zeros(i);
        if (wa > 0) x = load(o_a, i) * wa;
        if (wb > 0) x = load(o_b, i) * wb + x;
        store(o, i, x);
      });
      p.lse[row] = d > 0 ? (m + log2(d)) * kLn2 : kNegInf;
    });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
