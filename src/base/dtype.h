// Element types of tensors, and the host's scalar conversions of the 16-bit ones (round to nearest even).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace quire {

enum class DType : std::uint8_t { kF32, kF16, kBF16 };

struct DTypeFacts {
  DType dtype;
  const char* name;
  const char* element;  // the type's name in the text of kernels
  std::size_t bytes;
};
// By DType: the one table of element types.
constexpr DTypeFacts kDTypeFacts[] = {
    {DType::kF32, "f32", "float", 4},
    {DType::kF16, "f16", "f16", 2},
    {DType::kBF16, "bf16", "bf16", 2},
};
constexpr int kNumDTypes = sizeof(kDTypeFacts) / sizeof(kDTypeFacts[0]);

constexpr const DTypeFacts& facts_of(DType dtype) { return kDTypeFacts[static_cast<int>(dtype)]; }
constexpr std::size_t dtype_bytes(DType dtype) { return facts_of(dtype).bytes; }
constexpr const char* to_string(DType dtype) { return facts_of(dtype).name; }

inline float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

inline std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);  // NaN stays NaN
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16, magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Shifting the magnitude into place and multiplying by 2^112 handles normal and subnormal numbers alike.
  const float value = std::bit_cast<float>(magnitude << 13) * std::bit_cast<float>(0x77800000u);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
}

inline std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // rounds to infinity
  if (magnitude < 0x38800000u) {  // subnormal: adding 0.5 rounds at 2^-24
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  return static_cast<std::uint16_t>(sign | ((magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13));
}

}  // namespace quire
