// Words of the tile language that are made of other words, written once for all targets. A target includes
// this file after it has defined exp2 for each type of value that it has.
#pragma once

#include "tile/misuse.h"

namespace quire {
namespace QUIRE_TARGET {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

// to[r] = row[r].
template <class Row>
QUIRE_DEV void store_row(const Row& row, int rows, float* to) {
  scatter_row(row, rows, [&](int r) { return to + r; });
}

// tanh(x), stable for every |x|; the error is that of exp2, absolute.
template <class X>
QUIRE_DEV X tanh_by_exp2(X x) {
  const X a = (x < 0.0f) ? -x : x;
  const X t = exp2(a * (-2.0f * kLog2E));
  const X y = (1.0f - t) / (1.0f + t);
  return (x < 0.0f) ? -y : y;
}

// erf(x): 1 - 2^-(|x| q(|x|)) with the sign of x; q fitted to erfc on [0, 4.2], where erf becomes 1.
template <class X>
QUIRE_DEV X erf_by_exp2(X x) {
  const X a = (x < 0.0f) ? -x : x;
  const X t = (a < 4.2f) ? a : X{} + 4.2f;
  X q = t * 4.5357249e-05f - 4.45496705e-4f;
  q = q * t + 1.4894068e-3f;
  q = q * t + 7.74685319e-4f;
  q = q * t - 2.82537284e-2f;
  q = q * t + 0.148481636f;
  q = q * t + 0.918416389f;
  q = q * t + 1.62790859f;
  const X y = (x == x) ? 1.0f - exp2(-(q * t)) : x;
  return (x < 0.0f) ? -y : y;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
