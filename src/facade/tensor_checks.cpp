#include "facade/tensor_checks.h"

#include <string>

#include "base/check.h"

namespace quire {
namespace {

std::string wanted_shape(const TensorRule& rule) {
  std::string text;
  for (const Extent& extent : rule.extents) {
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", extent.name, extent.may_be_more ? ">=" : "=",
                        extent.value);
  }
  return text;
}

void check_shape(const Tensor& t, const TensorRule& rule) {
  bool is_good = t.num_dims == static_cast<std::int32_t>(rule.extents.size()) && t.type == rule.type;
  const std::int64_t* shape = t.shape;
  for (const Extent& extent : rule.extents) {
    is_good = is_good && (extent.may_be_more ? *shape >= extent.value : *shape == extent.value);
    ++shape;
  }
  QUIRE_CHECK(is_good, "{} must be {} [{}], got {}", rule.name, to_string(rule.type), wanted_shape(rule),
              to_string(t));
}

// Elements of one row, which lie together. Strides of dimensions of one element say nothing.
std::int64_t check_row(const Tensor& t, const TensorRule& rule) {
  std::int64_t elems = 1;
  for (int i = t.num_dims - 1; i >= 1; --i) {
    QUIRE_CHECK(t.shape[i] == 1 || t.strides[i] == elems,
                "{}: the elements of a row must lie together, dimension {} needs stride {}, got {}",
                rule.name, i, elems, to_string(t));
    elems *= t.shape[i];
  }
  return elems;
}

void check_strides(const Tensor& t, const TensorRule& rule) {
  const std::int64_t elems = check_row(t, rule), stride = row_stride(t);
  const bool is_good = rule.rows == Rows::kTogether ? stride == elems : stride >= elems;
  std::int64_t all_elems = 0;
  const bool is_huge = __builtin_mul_overflow(stride, t.shape[0], &all_elems);
  QUIRE_CHECK(is_good && !is_huge, "{}: dimension 0 needs a stride of {}{}, got {}", rule.name,
              rule.rows == Rows::kTogether ? "" : "at least ", elems, to_string(t));
}

// Whether the device reads memory of that kind.
bool is_reachable(const Tensor& t, const ComputeDevice::Impl& device) {
  if (t.device == DeviceKind::kCudaHost || t.device == DeviceKind::kCudaManaged) return true;
  return t.device == device.memory && t.device_idx == device.device_idx;
}

void check_memory(const Tensor& t, const TensorRule& rule, const ComputeDevice::Impl& device) {
  QUIRE_CHECK(is_reachable(t, device), "{} must be on {} {}, got {}", rule.name, to_string(device.memory),
              device.device_idx, to_string(t));
  std::int64_t elems = 1;
  for (int i = 0; i < t.num_dims; ++i) elems *= t.shape[i];
  QUIRE_CHECK(t.data != nullptr || elems == 0, "{} has no memory: its data is null, its shape {}", rule.name,
              to_string(t));
  const std::size_t alignment = rule.alignment != 0 ? rule.alignment : element_bytes(t.type);
  QUIRE_CHECK(reinterpret_cast<std::uintptr_t>(t.data) % alignment == 0,
              "{} must begin at a multiple of {} bytes, got address {}", rule.name, alignment,
              static_cast<const void*>(t.data));
}

}  // namespace

std::int64_t row_stride(const Tensor& t) {
  if (t.shape[0] > 1) return t.strides[0];
  std::int64_t elems = 1;
  for (int i = 1; i < t.num_dims; ++i) elems *= t.shape[i];
  return elems;
}

void check_tensor(const Tensor& t, const TensorRule& rule, const ComputeDevice::Impl& device) {
  QUIRE_CHECK(t.is_given(), "{} is missing: {} [{}]", rule.name, to_string(rule.type), wanted_shape(rule));
  check_shape(t, rule);
  check_strides(t, rule);
  check_memory(t, rule, device);
}

}  // namespace quire
