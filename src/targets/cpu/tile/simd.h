// Vectors of the CPU target: GCC/clang vector extensions, with intrinsics only where the language has no word
// for an operation. Everything lives in QUIRE_TARGET, so that no two instruction-set levels can share an
// inline function.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define QUIRE_DEV inline __attribute__((always_inline))

namespace quire {
namespace QUIRE_TARGET {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kNumVectorRegisters = 32;
#elif defined(__AVX__)
constexpr int kLanes = 8, kNumVectorRegisters = 16;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kNumVectorRegisters = 32;
#else
constexpr int kLanes = 4, kNumVectorRegisters = 16;
#endif

typedef float VecF __attribute__((vector_size(kLanes * 4)));
typedef int VecI __attribute__((vector_size(kLanes * 4)));
typedef unsigned VecU __attribute__((vector_size(kLanes * 4)));
typedef unsigned short VecH __attribute__((vector_size(kLanes * 2)));

// 16-bit elements are bits; arithmetic is f32.
struct bf16 {
  unsigned short bits;
};
struct f16 {
  unsigned short bits;
};

constexpr float kNegInf = -__builtin_inff();

template <class V, class P>
QUIRE_DEV V load_bits(const P* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}
template <class V, class P>
QUIRE_DEV void store_bits(P* p, V v) {
  __builtin_memcpy(p, &v, sizeof(V));
}
template <class To, class From>
QUIRE_DEV To bit_cast_to(From from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  __builtin_memcpy(&to, &from, sizeof(To));
  return to;
}

QUIRE_DEV VecF splat(float x) { return x - VecF{}; }
QUIRE_DEV VecI iota(int first) {
  VecI v{};
  for (int i = 0; i < kLanes; ++i) v[i] = first + i;
  return v;
}

template <class M, class V>
QUIRE_DEV V select(M mask, V a, V b) {
  return mask ? a : b;
}
QUIRE_DEV VecF select(VecI mask, VecF a, float b) { return mask ? a : splat(b); }
QUIRE_DEV VecF select(VecI mask, float a, VecF b) { return mask ? splat(a) : b; }

QUIRE_DEV VecF to_f32(VecI x) { return __builtin_convertvector(x, VecF); }
QUIRE_DEV float to_f32(int x) { return static_cast<float>(x); }

// max(a, b) with b where a is NaN, as the machine instruction has it.
QUIRE_DEV VecF vec_max(VecF a, VecF b) {
#if defined(__AVX512F__)
  return (VecF)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
  return (VecF)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
  return (VecF)_mm_max_ps((__m128)a, (__m128)b);
#else
  return a > b ? a : b;
#endif
}
QUIRE_DEV float vec_max(float a, float b) { return a > b ? a : b; }

QUIRE_DEV float lane_sum(VecF v) {
  float lanes[kLanes];
  store_bits(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}
QUIRE_DEV float lane_max(VecF v) {
  float lanes[kLanes];
  store_bits(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] = vec_max(lanes[i], lanes[i + width]);
  }
  return lanes[0];
}

// f16 in software, for levels without a conversion instruction. Subnormals and infinities included.
QUIRE_DEV VecF f16_bits_to_f32(VecU bits) {
  const VecU magnitude = bits & 0x7fffu, sign = (bits & 0x8000u) << 16;
  const VecF normal = bit_cast_to<VecF>(magnitude << 13) * bit_cast_to<float>(0x77800000u);
  const VecU special = (magnitude << 13) | 0x7f800000u;
  const VecU value = (magnitude >= 0x7c00u) ? special : bit_cast_to<VecU>(normal);
  return bit_cast_to<VecF>(value | sign);
}
QUIRE_DEV VecU f32_to_f16_bits(VecF x) {
  const VecU bits = bit_cast_to<VecU>(x);
  const VecU magnitude = bits & 0x7fffffffu, sign = (bits >> 16) & 0x8000u;
  const VecU small = bit_cast_to<VecU>(bit_cast_to<VecF>(magnitude) + 0.5f) - 0x3f000000u;
  const VecU normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
  VecU value = (magnitude < 0x38800000u) ? small : normal;
  value = (magnitude >= 0x477ff000u) ? VecU{} + 0x7c00u : value;
  value = (magnitude > 0x7f800000u) ? VecU{} + 0x7e00u : value;
  return value | sign;
}

QUIRE_DEV VecF load_lanes(const float* p) { return load_bits<VecF>(p); }
QUIRE_DEV VecF load_lanes(const bf16* p) {
  return bit_cast_to<VecF>(__builtin_convertvector(load_bits<VecH>(p), VecU) << 16);
}
QUIRE_DEV VecF load_lanes(const f16* p) {
#if defined(__AVX512F__)
  return (VecF)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return (VecF)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__aarch64__)
  return (VecF)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const unsigned short*>(p))));
#else
  return f16_bits_to_f32(__builtin_convertvector(load_bits<VecH>(p), VecU));
#endif
}

QUIRE_DEV VecU f32_to_bf16_bits(VecF x) {
  const VecU bits = bit_cast_to<VecU>(x);
  const VecU rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return ((bits & 0x7fffffffu) > 0x7f800000u) ? (bits >> 16) | 0x40u : rounded;
}
QUIRE_DEV void store_lanes(float* p, VecF x) { store_bits(p, x); }
QUIRE_DEV void store_lanes(bf16* p, VecF x) {
  store_bits(p, __builtin_convertvector(f32_to_bf16_bits(x), VecH));
}
QUIRE_DEV void store_lanes(f16* p, VecF x) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
#else
  store_bits(p, __builtin_convertvector(f32_to_f16_bits(x), VecH));
#endif
}

}  // namespace QUIRE_TARGET
}  // namespace quire
