// The target's math functions on arrays, compiled once for each instruction-set level. Included by
// math_<level>.cpp, which are compiled with flags that other code must not see: hence no standard header
// here.
#pragma once

namespace quire {

// Reads and writes n floats; n is a multiple of 16.
using MathArray = void (*)(const float* x, float* y, int n);

struct MathLevel {
  MathArray exp2, exp2_bounded, log2, tanh, erf, sqrt;
  float (*exp2_of_one)(float x);  // single values, which must have the bits of the arrays
  float (*log2_of_one)(float x);
  float (*tanh_of_one)(float x);
  float (*rsqrt_of_one)(float x);
};

#ifdef QUIRE_TARGET
namespace QUIRE_TARGET {

template <class F>
void map_array(const float* x, float* y, int n, F f) {
  for (int i = 0; i < n; i += kLanes) store_lanes(y + i, f(load_lanes(x + i)));
}

inline MathLevel make_math_level() {
  return {
      [](const float* x, float* y, int n) { map_array(x, y, n, [](VecF v) { return exp2(v); }); },
      [](const float* x, float* y, int n) { map_array(x, y, n, [](VecF v) { return exp2_bounded(v); }); },
      [](const float* x, float* y, int n) { map_array(x, y, n, [](VecF v) { return log2(v); }); },
      [](const float* x, float* y, int n) { map_array(x, y, n, [](VecF v) { return tanh(v); }); },
      [](const float* x, float* y, int n) { map_array(x, y, n, [](VecF v) { return erf(v); }); },
      [](const float* x, float* y, int n) { map_array(x, y, n, [](VecF v) { return sqrt(v); }); },
      [](float x) { return exp2(x); },
      [](float x) { return log2(x); },
      [](float x) { return tanh(x); },
      [](float x) { return rsqrt(x); },
  };
}

}  // namespace QUIRE_TARGET
#endif

}  // namespace quire
