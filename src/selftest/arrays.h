// Data of the self-test: elements of any dtype on the host, and device memory with guards around it.
#pragma once

#include <memory>
#include <vector>

#include "device/device.h"
#include "selftest/random.h"

namespace quire {

// x rounded to the dtype, to nearest even.
double round_to(DType dtype, double x);

// Half a unit in the last place of 1.0: the relative error of one rounding.
double rounding_unit(DType dtype);

// Of an array of these dimensions.
inline std::size_t num_elems(int a, int b = 1, int c = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

// What fills memory that a kernel must leave alone: NaN in every dtype, and -1 as an index.
constexpr std::byte kPoison{0xff};

// Elements of one dtype, read and written as double.
class HostArray {
 public:
  HostArray() = default;
  HostArray(DType dtype, std::size_t num_elems, std::byte fill = std::byte{0})
      : dtype_(dtype), bytes_(num_elems * dtype_bytes(dtype), fill) {}

  DType dtype() const { return dtype_; }
  std::size_t num_elems() const { return bytes_.size() / dtype_bytes(dtype_); }
  std::vector<std::byte>& bytes() { return bytes_; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  double operator[](std::size_t i) const;
  void set(std::size_t i, double x);  // rounds

  // The bytes of elements [begin, begin + n) equal those of `other` from other_begin on.
  bool same_bits(std::size_t begin, std::size_t n, const HostArray& other, std::size_t other_begin) const;

 private:
  DType dtype_ = DType::kF32;
  std::vector<std::byte> bytes_;
};

// Uniform in [-amplitude, amplitude].
HostArray random_array(Random& random, DType dtype, std::size_t num_elems, double amplitude);

// Rows of `cols` elements spread to `stride` elements apart, poison between them; and back.
HostArray spread_rows(const HostArray& rows, std::size_t cols, std::size_t stride);
HostArray gather_rows(const HostArray& spread, std::size_t num_rows, std::size_t cols, std::size_t stride);
// True if everything between the rows is still poison.
bool gaps_intact(const HostArray& spread, std::size_t num_rows, std::size_t cols, std::size_t stride);

// Device memory between two guards. All of it starts as poison.
class GuardedBuffer {
 public:
  GuardedBuffer(Device& device, std::size_t num_bytes);
  GuardedBuffer(Device& device, const void* from, std::size_t num_bytes);
  GuardedBuffer(Device& device, const HostArray& from)
      : GuardedBuffer(device, from.bytes().data(), from.bytes().size()) {}
  template <class T>
  GuardedBuffer(Device& device, const std::vector<T>& from)
      : GuardedBuffer(device, from.data(), from.size() * sizeof(T)) {}

  std::byte* data() const;
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
  void download(void* to) const;
  HostArray download(DType dtype) const;
  bool guards_intact() const;

 private:
  static constexpr std::size_t kGuardBytes = 256;

  Device& device_;
  std::size_t num_bytes_;
  std::unique_ptr<Buffer> buffer_;
};

}  // namespace quire
