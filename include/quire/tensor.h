// Tensors that belong to the caller, described by one plain struct. Quire neither owns nor copies what they
// point to. The struct has no pointers but `data`, so that it can be copied, kept, and handed through a C
// interface; its device kinds have the numbers of DLPack, and strides count elements as DLPack's do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace quire {

enum class ElementType : std::int32_t { kF32 = 0, kF16 = 1, kBF16 = 2, kI32 = 3, kI64 = 4 };

const char* to_string(ElementType type);      // "f32"
std::size_t element_bytes(ElementType type);  // Throws Error{kInvalidArgument} for a number that is none

// Whose memory `data` points to (DLDeviceType).
enum class DeviceKind : std::int32_t {
  kHost = 1,
  kCuda = 2,
  kCudaHost = 3,      // the host's, pinned, which a GPU reads too
  kCudaManaged = 13,  // moves between host and GPU
};

const char* to_string(DeviceKind kind);  // "host"

struct Tensor {
  static constexpr int kMaxDims = 4;

  void* data = nullptr;  // written to by functions that say so, and by no other
  std::int64_t shape[kMaxDims] = {};
  std::int64_t strides[kMaxDims] = {};  // in elements
  std::int32_t num_dims = 0;            // 0: no tensor
  ElementType type = ElementType::kF32;
  DeviceKind device = DeviceKind::kHost;
  std::int32_t device_idx = 0;  // of several devices of that kind

  bool is_given() const { return num_dims != 0; }
};

// A tensor without gaps, the last dimension contiguous. Throws Error{kInvalidArgument} for no dimension, more
// than Tensor::kMaxDims, or a negative one.
Tensor contiguous_tensor(const void* data, ElementType type, std::initializer_list<std::int64_t> shape,
                         DeviceKind device = DeviceKind::kHost, int device_idx = 0);

// "bf16 [7, 8, 128] strides [1024, 128, 1] on cuda 0"
std::string to_string(const Tensor& tensor);

}  // namespace quire
