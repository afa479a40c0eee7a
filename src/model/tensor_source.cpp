#include "model/tensor_source.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "base/check.h"

namespace quire {

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

float rounded_to(DType dtype, float value) {
  std::byte stored[sizeof(float)];
  write_element(stored, dtype, value);
  return read_element(stored, dtype);
}

namespace {

std::int64_t row_elems(const WeightSpec& spec) { return spec.shape.back(); }

class FileSource : public TensorSource {
 public:
  explicit FileSource(Weights& weights) : weights_(weights) {}

  void read_rows(const WeightSpec& spec, std::int64_t row_begin, std::int64_t num_rows, DType dtype,
                 void* out) override {
    const TensorFile& tensor = weights_.get(spec.name, spec.shape);
    const DType stored = *compute_dtype(tensor.type);
    const auto num_elems = static_cast<std::size_t>(num_rows * row_elems(spec));
    const std::byte* from =
        tensor.bytes.data() + static_cast<std::size_t>(row_begin * row_elems(spec)) * dtype_bytes(stored);
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

// Each row is copied from another place of one table of random numbers, so that gigabytes of weights are made
// at the speed of a copy.
class RandomSource : public TensorSource {
 public:
  explicit RandomSource(std::uint64_t seed) : state_(seed * 2 + 1), uniform_(kTableElems) {
    for (float& x : uniform_) x = static_cast<float>(static_cast<std::int32_t>(random_bits())) * 0x1p-31f;
  }

  void read_rows(const WeightSpec& spec, std::int64_t, std::int64_t num_rows, DType dtype,
                 void* out) override {
    const bool is_vector = spec.shape.size() == 1;
    const auto row_len = static_cast<std::size_t>(row_elems(spec));
    const std::vector<std::byte>& table = table_of(is_vector ? 0 : row_elems(spec), dtype);
    const std::size_t elem = dtype_bytes(dtype), num_elems = table.size() / elem;
    auto* to = static_cast<std::byte*>(out);
    for (std::int64_t row = 0; row < num_rows; ++row) {
      std::size_t from = random_bits() % num_elems;
      for (std::size_t done = 0, part = 0; done < row_len; done += part, from = 0) {
        part = std::min(row_len - done, num_elems - from);
        std::memcpy(to, table.data() + from * elem, part * elem);
        to += part * elem;
      }
    }
  }

 private:
  static constexpr std::size_t kTableElems = (1u << 20) + 7;

  std::uint32_t random_bits() {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<std::uint32_t>(state_ >> 32);
  }

  // The table for rows of `fan_in` elements; for fan_in 0 all elements are 1.
  const std::vector<std::byte>& table_of(std::int64_t fan_in, DType dtype) {
    std::vector<std::byte>& table = tables_[{fan_in, dtype}];
    if (!table.empty()) return table;
    table.resize(uniform_.size() * dtype_bytes(dtype));
    const float scale = fan_in > 0 ? static_cast<float>(std::sqrt(3.0 / static_cast<double>(fan_in))) : 0.0f;
    for (std::size_t i = 0; i < uniform_.size(); ++i) {
      write_element(table.data() + i * dtype_bytes(dtype), dtype, fan_in > 0 ? uniform_[i] * scale : 1.0f);
    }
    return table;
  }

  std::uint64_t state_;
  std::vector<float> uniform_;  // in [-1, 1)
  std::map<std::pair<std::int64_t, DType>, std::vector<std::byte>> tables_;
};

}  // namespace

std::unique_ptr<TensorSource> file_source(Weights& weights) { return std::make_unique<FileSource>(weights); }
std::unique_ptr<TensorSource> random_source(std::uint64_t seed) {
  return std::make_unique<RandomSource>(seed);
}

}  // namespace quire
