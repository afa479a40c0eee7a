// Checks of tensors that callers bring, before anything is launched. Each failure is an
// Error{kInvalidArgument} that says what the tensor must be and what it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "facade/compute_device.h"
#include "quire/tensor.h"

namespace quire {

struct Extent {
  const char* name;
  std::int64_t value;
  bool may_be_more = false;
};

// Whether rows, the parts of a tensor along its first dimension, may lie apart.
enum class Rows { kTogether, kMayLieApart };

struct TensorRule {
  const char* name;  // for messages
  ElementType type;
  std::initializer_list<Extent> extents;
  Rows rows = Rows::kTogether;
  std::size_t alignment = 0;  // bytes; 0: an element's
};

void check_tensor(const Tensor& tensor, const TensorRule& rule, const ComputeDevice::Impl& device);

// Of a checked tensor: elements from one row to the next.
std::int64_t row_stride(const Tensor& tensor);

}  // namespace quire
