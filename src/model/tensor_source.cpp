#include "model/tensor_source.h"

#include <cmath>
#include <cstring>

#include "base/check.h"

namespace quire {
namespace {

std::int64_t row_elems(const WeightSpec& spec) { return spec.shape.back(); }

float read_element(const std::byte* from, DType dtype) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return dtype == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

void write_element(std::byte* to, DType dtype, float value) {
  if (dtype == DType::kF32) {
    std::memcpy(to, &value, sizeof value);
    return;
  }
  const std::uint16_t bits = dtype == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
  std::memcpy(to, &bits, sizeof bits);
}

class FileSource : public TensorSource {
 public:
  explicit FileSource(Weights& weights) : weights_(weights) {}

  void read_rows(const WeightSpec& spec, std::int64_t row_begin, std::int64_t num_rows, DType dtype, void* out) override {
    const TensorFile& tensor = weights_.get(spec.name, spec.shape);
    const DType stored = *compute_dtype(tensor.type);
    const auto num_elems = static_cast<std::size_t>(num_rows * row_elems(spec));
    const std::byte* from = tensor.bytes.data() + static_cast<std::size_t>(row_begin * row_elems(spec)) * dtype_bytes(stored);
    if (stored == dtype) {
      std::memcpy(out, from, num_elems * dtype_bytes(dtype));
      return;
    }
    auto* to = static_cast<std::byte*>(out);
    for (std::size_t i = 0; i < num_elems; ++i) {
      write_element(to + i * dtype_bytes(dtype), dtype, read_element(from + i * dtype_bytes(stored), stored));
    }
  }

 private:
  Weights& weights_;
};

class RandomSource : public TensorSource {
 public:
  explicit RandomSource(std::uint64_t seed) : state_(seed * 2 + 1) {}

  void read_rows(const WeightSpec& spec, std::int64_t, std::int64_t num_rows, DType dtype, void* out) override {
    const bool is_vector = spec.shape.size() == 1;
    const float scale = is_vector ? 0.0f : static_cast<float>(std::sqrt(3.0 / static_cast<double>(row_elems(spec))));
    auto* to = static_cast<std::byte*>(out);
    for (std::int64_t i = 0; i < num_rows * row_elems(spec); ++i) {
      state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
      const float uniform = static_cast<float>(static_cast<std::int32_t>(state_ >> 32)) * 0x1p-31f;
      write_element(to + static_cast<std::size_t>(i) * dtype_bytes(dtype), dtype, is_vector ? 1.0f : uniform * scale);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace

std::unique_ptr<TensorSource> file_source(Weights& weights) { return std::make_unique<FileSource>(weights); }
std::unique_ptr<TensorSource> random_source(std::uint64_t seed) { return std::make_unique<RandomSource>(seed); }

}  // namespace quire
