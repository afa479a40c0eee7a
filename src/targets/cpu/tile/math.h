// exp2, log2, tanh and friends on vectors and on single values. Error bounds are against the exact function,
// in units of the last place (ulp), measured over the whole range by tests/conformance/math_test.cpp.
#pragma once

#include "targets/cpu/tile/simd.h"

namespace quire {
namespace QUIRE_TARGET {

// 2^x for x in [-126, 128), 3 ulp. Adding 1.5 * 2^23 rounds x to an integer n, which is then added to the
// exponent.
QUIRE_DEV VecF exp2_unchecked(VecF x) {
  const VecF shifted = x + 12582912.0f;
  const VecF f = x - (shifted - 12582912.0f);  // in [-0.5, 0.5]
  // Minimax polynomial of 2^f with constant term 1; relative error 9.2e-8 before rounding.
  VecF poly = f * 1.3264724e-3f + 9.67151295e-3f;
  poly = poly * f + 5.55073375e-2f;
  poly = poly * f + 0.240222421f;
  poly = poly * f + 0.693146978f;
  poly = poly * f + 1.0f;
  return bit_cast_to<VecF>(bit_cast_to<VecU>(poly) + (bit_cast_to<VecU>(shifted) << 23));
}

// 2^x for x < 128, -inf or NaN: 0 below 2^-126.
QUIRE_DEV VecF exp2_bounded(VecF x) {
  const VecF y = (x >= -126.0f) ? exp2_unchecked(x) : VecF{};
  return (x == x) ? y : x;
}

// 2^x for every x: 0 below 2^-126, inf from 2^128, NaN for NaN.
QUIRE_DEV VecF exp2(VecF x) {
  const VecF y = (x >= 128.0f) ? splat(__builtin_inff()) : exp2_unchecked(x);
  return (x >= -126.0f) ? y : select(x == x, VecF{}, x);
}

// log2(x) for x > 0, 3 ulp, in [0.5, 2] 2^-22 absolute; -inf at 0, inf at inf, NaN below 0. Subnormals count
// as 0.
QUIRE_DEV VecF log2(VecF x) {
  const VecU bits = bit_cast_to<VecU>(x);
  const VecU offset = bits - 0x3f3504f3u;  // sqrt(0.5): the mantissa lands in [sqrt(0.5), sqrt(2))
  const VecF exponent = to_f32(bit_cast_to<VecI>(offset) >> 23);
  const VecF f = bit_cast_to<VecF>((offset & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
  // log2(1 + f) by t = f / (2 + f): 2/ln2 (t + t^3/3 + t^5/5 + …)
  const VecF t = f / (f + 2.0f), t2 = t * t;
  VecF series = t2 * 0.339194517f + 0.411758208f;
  series = series * t2 + 0.577082076f;
  series = series * t2 + 0.961796682f;
  VecF y = t * 2.88539008f + (t * t2 * series + exponent);
  y = (x < 1.17549435e-38f) ? splat(kNegInf) : y;
  y = (x == __builtin_inff()) ? x : y;
  return (x >= 0.0f) ? y : splat(__builtin_nanf(""));
}

QUIRE_DEV VecF sqrt(VecF x) {
#if defined(__AVX512F__)
  return (VecF)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX__)
  return (VecF)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
  return (VecF)_mm_sqrt_ps((__m128)x);
#else
  return (VecF)vsqrtq_f32((float32x4_t)x);
#endif
}

}  // namespace QUIRE_TARGET
}  // namespace quire

#include "tile/defaults.h"

namespace quire {
namespace QUIRE_TARGET {

QUIRE_DEV VecF tanh(VecF x) { return tanh_by_exp2(x); }  // 2^-22 absolute
QUIRE_DEV VecF erf(VecF x) { return erf_by_exp2(x); }    // 2^-22 absolute

// Single values use the same polynomials through one lane, so that a row's value does not depend on its form.
QUIRE_DEV float exp2(float x) { return exp2(splat(x))[0]; }
QUIRE_DEV float log2(float x) { return log2(splat(x))[0]; }
QUIRE_DEV float tanh(float x) { return tanh(splat(x))[0]; }
QUIRE_DEV float sqrt(float x) { return __builtin_sqrtf(x); }
QUIRE_DEV float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }

// x rounded to the element type and back.
template <class E>
QUIRE_DEV VecF round_to(VecF x) {
  E rounded[kLanes];
  store_lanes(rounded, x);
  return load_lanes(rounded);
}

}  // namespace QUIRE_TARGET
}  // namespace quire
