#include "selftest/arrays.h"

#include <algorithm>
#include <cstring>

namespace quire {

double round_to(DType dtype, double x) {
  const float f = static_cast<float>(x);
  switch (dtype) {
    case DType::kF32:
      return f;
    case DType::kF16:
      return f16_to_f32(f32_to_f16(f));
    case DType::kBF16:
      return bf16_to_f32(f32_to_bf16(f));
  }
  return f;
}

double rounding_unit(DType dtype) {
  return dtype == DType::kF32 ? 0x1p-24 : dtype == DType::kF16 ? 0x1p-11 : 0x1p-8;
}

double HostArray::operator[](std::size_t i) const {
  if (dtype_ == DType::kF32) {
    float x;
    std::memcpy(&x, bytes_.data() + i * 4, 4);
    return x;
  }
  std::uint16_t x;
  std::memcpy(&x, bytes_.data() + i * 2, 2);
  return dtype_ == DType::kF16 ? f16_to_f32(x) : bf16_to_f32(x);
}

void HostArray::set(std::size_t i, double value) {
  const float f = static_cast<float>(value);
  if (dtype_ == DType::kF32) {
    std::memcpy(bytes_.data() + i * 4, &f, 4);
    return;
  }
  const std::uint16_t x = dtype_ == DType::kF16 ? f32_to_f16(f) : f32_to_bf16(f);
  std::memcpy(bytes_.data() + i * 2, &x, 2);
}

bool HostArray::same_bits(std::size_t begin, std::size_t n, const HostArray& other,
                          std::size_t other_begin) const {
  const std::size_t elem = dtype_bytes(dtype_);
  return std::memcmp(bytes_.data() + begin * elem, other.bytes_.data() + other_begin * elem, n * elem) == 0;
}

HostArray random_array(Random& random, DType dtype, std::size_t num_elems, double amplitude) {
  HostArray array(dtype, num_elems);
  for (std::size_t i = 0; i < num_elems; ++i) array.set(i, random.uniform(-amplitude, amplitude));
  return array;
}

HostArray spread_rows(const HostArray& rows, std::size_t cols, std::size_t stride) {
  const std::size_t num_rows = cols > 0 ? rows.num_elems() / cols : 0, elem = dtype_bytes(rows.dtype());
  HostArray spread(rows.dtype(), num_rows * stride, kPoison);
  for (std::size_t r = 0; r < num_rows; ++r) {
    std::copy_n(rows.bytes().begin() + static_cast<long>(r * cols * elem), cols * elem,
                spread.bytes().begin() + static_cast<long>(r * stride * elem));
  }
  return spread;
}

HostArray gather_rows(const HostArray& spread, std::size_t num_rows, std::size_t cols, std::size_t stride) {
  const std::size_t elem = dtype_bytes(spread.dtype());
  HostArray rows(spread.dtype(), num_rows * cols);
  for (std::size_t r = 0; r < num_rows; ++r) {
    std::copy_n(spread.bytes().begin() + static_cast<long>(r * stride * elem), cols * elem,
                rows.bytes().begin() + static_cast<long>(r * cols * elem));
  }
  return rows;
}

bool gaps_intact(const HostArray& spread, std::size_t num_rows, std::size_t cols, std::size_t stride) {
  const std::size_t elem = dtype_bytes(spread.dtype());
  for (std::size_t r = 0; r < num_rows; ++r) {
    const auto gap = spread.bytes().begin() + static_cast<long>((r * stride + cols) * elem);
    if (!std::all_of(gap, gap + static_cast<long>((stride - cols) * elem),
                     [](std::byte b) { return b == kPoison; })) {
      return false;
    }
  }
  return true;
}

GuardedBuffer::GuardedBuffer(Device& device, std::size_t num_bytes)
    : device_(device), num_bytes_(num_bytes), buffer_(device.allocate(num_bytes + 2 * kGuardBytes)) {
  const std::vector<std::byte> poison(num_bytes + 2 * kGuardBytes, kPoison);
  device.copy_to_device(buffer_->data(), poison.data(), poison.size());
}

GuardedBuffer::GuardedBuffer(Device& device, const void* from, std::size_t num_bytes)
    : GuardedBuffer(device, num_bytes) {
  device.copy_to_device(data(), from, num_bytes);
}

std::byte* GuardedBuffer::data() const { return buffer_->data() + kGuardBytes; }

void GuardedBuffer::download(void* to) const { device_.copy_to_host(to, data(), num_bytes_); }

HostArray GuardedBuffer::download(DType dtype) const {
  HostArray array(dtype, num_bytes_ / dtype_bytes(dtype));
  download(array.bytes().data());
  return array;
}

bool GuardedBuffer::guards_intact() const {
  std::vector<std::byte> guards(2 * kGuardBytes);
  device_.copy_to_host(guards.data(), buffer_->data(), kGuardBytes);
  device_.copy_to_host(guards.data() + kGuardBytes, data() + num_bytes_, kGuardBytes);
  return std::all_of(guards.begin(), guards.end(), [](std::byte b) { return b == kPoison; });
}

}  // namespace quire
