// Which code of a kernel is wanted, as values that compare: all that is fixed for the life of an operator.
// What may differ from launch to launch (numbers of rows, alignment of rows) is left to the target, which may
// have several forms of one variant.
#pragma once

#include <compare>
#include <string>
#include <variant>

#include "base/formats.h"
#include "kernels/catalogue.h"

namespace quire {

static_assert(kMaxHeadShape == HeadShape{kMaxHeadDimQk, kMaxHeadDimVo}, "kernels know no base");

struct AttentionVariant {
  DType q = DType::kBF16, o = DType::kBF16;
  KvFormat kv;
  HeadShape heads;
  unsigned mods = 0;  // of ScoreMods: a launch that asks for others is refused
  auto operator<=>(const AttentionVariant&) const = default;
};

struct LinearVariant {
  DType x = DType::kBF16;
  WeightFormat weight;
  DType y = DType::kBF16;
  auto operator<=>(const LinearVariant&) const = default;
};

// Weights of the type of x.
constexpr LinearVariant plain_linear(DType x, DType y) { return {x, {x}, y}; }

// Of a kernel whose only choice is the element type; f32 where it has none.
struct RowVariant {
  KernelName kernel = KernelName::kRmsNorm;
  DType dtype = DType::kF32;
  auto operator<=>(const RowVariant&) const = default;
};

using KernelVariant = std::variant<AttentionVariant, LinearVariant, RowVariant>;

KernelName kernel_of(const KernelVariant& variant);
std::string to_string(const KernelVariant& variant);  // for people: "linear bf16 x bf16 -> f32"

// The one element type of q, k, v and o. Throws Error{kUnsupported} for mixed ones: no kernel reads them.
DType common_type(const AttentionVariant& variant);
DType common_type(const LinearVariant& variant);  // of x and weights

// A variant that a device has resolved: an index of that device's.
struct KernelHandle {
  int idx = -1;
  bool is_resolved() const { return idx >= 0; }
};

}  // namespace quire
