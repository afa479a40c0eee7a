// Arithmetic on the values of a machine of lanes: each lane has one number. The CPU target defines the same
// names for vectors. Included after the functions of the chip (QUIRE_SIMT_HEADER).
#pragma once

#include "tile/defaults.h"

namespace quire {
namespace QUIRE_TARGET {

constexpr float kNegInf = __builtin_bit_cast(float, 0xff800000u);

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
QUIRE_DEV float tanh(float x) { return tanh_by_exp2(x); }  // 2^-21 absolute
QUIRE_DEV float erf(float x) { return erf_by_exp2(x); }    // 2^-21 absolute

// Elements of plain rows; here i is the number of one element.
template <class E>
QUIRE_DEV float load(const E* p, int i) {
  return to_f32(p[i]);
}
template <class E>
QUIRE_DEV void store(E* p, int i, float x) {
  p[i] = Rounded<E>::of(x);
}
QUIRE_DEV void store_pair(float* p, float x, float y) { store_64(p, bits_of(x), bits_of(y)); }
template <class E>
QUIRE_DEV void store_pair(E* p, float x, float y) {
  store_32(p, pack_pair(E{}, x, y));
}

}  // namespace QUIRE_TARGET
}  // namespace quire
