// Values of the cuda target: single numbers, one a lane. The same words as the CPU's vectors.
#pragma once

#include "tile/lanes/facts.h"
#include "targets/cuda/tile/swizzled_page.h"
#include "tile/views.h"
#include QUIRE_SIMT_HEADER

namespace quire {
namespace QUIRE_TARGET {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
constexpr float kNegInf = __builtin_bit_cast(float, 0xff800000u);

QUIRE_DEV void copy_async_wait_all() {
  copy_async_commit();
  copy_async_wait<0>();
}
QUIRE_DEV float select(bool mask, float a, float b) { return mask ? a : b; }
QUIRE_DEV float to_f32(int x) { return static_cast<float>(x); }

// x rounded to an element type, and as f32 again.
template <class E>
struct Rounded {
  static QUIRE_DEV E of(float x) { return {static_cast<unsigned short>(pack_pair(E{}, x, 0.0f))}; }
};
template <>
struct Rounded<float> {
  static QUIRE_DEV float of(float x) { return x; }
};
template <class E>
QUIRE_DEV float round_to(float x) {
  return to_f32(Rounded<E>::of(x));
}

QUIRE_DEV float rsqrt(float x) { return 1.0f / sqrt(x); }

// tanh(x), 2^-21 absolute, stable for every |x|.
QUIRE_DEV float tanh(float x) {
  const float a = x < 0.0f ? -x : x;
  const float t = exp2(a * (-2.0f * kLog2E));
  const float y = (1.0f - t) / (1.0f + t);
  return x < 0.0f ? -y : y;
}

// erf(x), 2^-21 absolute: 1 - 2^-(|x| q(|x|)) with the sign of x; q fitted to erfc on [0, 4.2], where erf becomes 1.
QUIRE_DEV float erf(float x) {
  const float a = x < 0.0f ? -x : x;
  const float t = a < 4.2f ? a : 4.2f;
  float q = t * 4.5357249e-05f - 4.45496705e-4f;
  q = q * t + 1.4894068e-3f;
  q = q * t + 7.74685319e-4f;
  q = q * t - 2.82537284e-2f;
  q = q * t + 0.148481636f;
  q = q * t + 0.918416389f;
  q = q * t + 1.62790859f;
  const float y = x == x ? 1.0f - exp2(-(q * t)) : x;
  return x < 0.0f ? -y : y;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
