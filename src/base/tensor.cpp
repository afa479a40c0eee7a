#include "quire/tensor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "base/check.h"

namespace quire {
namespace {

struct ElementFacts {
  const char* name;
  std::size_t bytes;
};
constexpr ElementFacts kElements[] = {{"f32", 4}, {"f16", 2}, {"bf16", 2}, {"i32", 4}, {"i64", 8}};

// Null for a number that is none: what came through a C interface may be anything.
const ElementFacts* facts_of(ElementType type) {
  const auto idx = static_cast<std::size_t>(type);
  return idx < std::size(kElements) ? &kElements[idx] : nullptr;
}

}  // namespace

const char* to_string(ElementType type) {
  const ElementFacts* facts = facts_of(type);
  return facts == nullptr ? "no element type" : facts->name;
}

std::size_t element_bytes(ElementType type) {
  const ElementFacts* facts = facts_of(type);
  QUIRE_CHECK(facts != nullptr, "there is no element type {}", static_cast<int>(type));
  return facts->bytes;
}

const char* to_string(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::kHost:
      return "host";
    case DeviceKind::kCuda:
      return "cuda";
    case DeviceKind::kCudaHost:
      return "cuda host";
    case DeviceKind::kCudaManaged:
      return "cuda managed";
  }
  return "no device kind";
}

Tensor contiguous_tensor(const void* data, ElementType type, std::initializer_list<std::int64_t> shape,
                         DeviceKind device, int device_idx) {
  element_bytes(type);
  QUIRE_CHECK(shape.size() >= 1 && shape.size() <= Tensor::kMaxDims,
              "a tensor has 1 to {} dimensions, got {}", Tensor::kMaxDims, shape.size());
  QUIRE_CHECK(*std::min_element(shape.begin(), shape.end()) >= 0,
              "the extents of a tensor must not be negative, got [{}]", fmt::join(shape, ", "));
  Tensor tensor;
  tensor.data = const_cast<void*>(data);
  tensor.num_dims = static_cast<std::int32_t>(shape.size());
  tensor.type = type;
  tensor.device = device;
  tensor.device_idx = device_idx;
  std::copy(shape.begin(), shape.end(), tensor.shape);
  std::int64_t stride = 1;
  for (auto i = shape.size(); i-- > 0;) {
    tensor.strides[i] = stride;
    const bool fits = !__builtin_mul_overflow(stride, std::max<std::int64_t>(tensor.shape[i], 1), &stride);
    QUIRE_CHECK(fits, "a tensor of [{}] elements is too large", fmt::join(shape, ", "));
  }
  return tensor;
}

std::string to_string(const Tensor& t) {
  if (!t.is_given()) return "no tensor";
  const auto num_dims = static_cast<std::size_t>(std::clamp(t.num_dims, 0, Tensor::kMaxDims));
  return fmt::format("{} [{}] strides [{}] on {} {}", to_string(t.type),
                     fmt::join(std::span(t.shape, num_dims), ", "),
                     fmt::join(std::span(t.strides, num_dims), ", "), to_string(t.device), t.device_idx);
}

}  // namespace quire
