// The struct that describes a caller's tensor: its form is a promise to C, to DLPack and to plug-ins.
#include "quire/tensor.h"

#include <gtest/gtest.h>

#include <limits>
#include <type_traits>

#include "unit/error_message.h"

namespace quire {
namespace {

static_assert(std::is_standard_layout_v<Tensor> && std::is_trivially_copyable_v<Tensor>);
static_assert(offsetof(Tensor, data) == 0 && offsetof(Tensor, shape) == 8 &&
              offsetof(Tensor, strides) == 40 && offsetof(Tensor, num_dims) == 72 &&
              offsetof(Tensor, type) == 76 && offsetof(Tensor, device) == 80 &&
              offsetof(Tensor, device_idx) == 84 && sizeof(Tensor) == 88);
// DLDeviceType of dlpack.h.
static_assert(static_cast<int>(DeviceKind::kHost) == 1 && static_cast<int>(DeviceKind::kCuda) == 2 &&
              static_cast<int>(DeviceKind::kCudaHost) == 3 &&
              static_cast<int>(DeviceKind::kCudaManaged) == 13);

TEST(TensorTest, AContiguousTensorHasTheStridesOfItsShape) {
  const float data[24] = {};
  const Tensor t = contiguous_tensor(data, ElementType::kF32, {2, 3, 4}, DeviceKind::kCuda, 1);
  EXPECT_EQ(t.data, data);
  EXPECT_EQ(t.num_dims, 3);
  EXPECT_EQ(t.strides[0], 12);
  EXPECT_EQ(t.strides[1], 4);
  EXPECT_EQ(t.strides[2], 1);
  EXPECT_EQ(to_string(t), "f32 [2, 3, 4] strides [12, 4, 1] on cuda 1");
  EXPECT_TRUE(t.is_given());
  EXPECT_FALSE(Tensor{}.is_given());
  EXPECT_EQ(to_string(Tensor{}), "no tensor");
}

TEST(TensorTest, WhatIsNoTensorIsRefused) {
  const auto refused = [](ElementType type, std::initializer_list<std::int64_t> shape) {
    return message_of([&] { contiguous_tensor(nullptr, type, shape); }, ErrorKind::kInvalidArgument);
  };
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(refused(ElementType::kI64, {}), "a tensor has 1 to 4 dimensions, got 0");
  EXPECT_EQ(refused(ElementType::kI64, {1, 1, 1, 1, 1}), "a tensor has 1 to 4 dimensions, got 5");
  EXPECT_EQ(refused(ElementType::kI64, {2, -3}), "the extents of a tensor must not be negative, got [2, -3]");
  EXPECT_EQ(refused(ElementType::kI64, {kMost, 2}),
            "a tensor of [9223372036854775807, 2] elements is too large");
  EXPECT_EQ(refused(static_cast<ElementType>(9), {1}), "there is no element type 9");
}

// Numbers out of a C interface are said, not trusted.
TEST(TensorTest, AnythingCanBeWritten) {
  Tensor t;
  t.num_dims = 77;
  t.type = static_cast<ElementType>(-1);
  t.device = static_cast<DeviceKind>(55);
  EXPECT_EQ(to_string(t), "no element type [0, 0, 0, 0] strides [0, 0, 0, 0] on no device kind 0");
  EXPECT_EQ(element_bytes(ElementType::kBF16), 2u);
  EXPECT_EQ(element_bytes(ElementType::kI64), 8u);
}

}  // namespace
}  // namespace quire
