// Where weights come from: a model directory, or a seeded generator for benchmarks of a shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/dtype.h"
#include "files/weight_names.h"

namespace quire {

// Read and write one element at an address of any alignment.
float read_element(const std::byte* from, DType dtype);
void write_element(std::byte* to, DType dtype, float value);  // rounds
float rounded_to(DType dtype, float value);

class TensorSource {
 public:
  virtual ~TensorSource() = default;

  // Writes rows [row_begin, row_begin + num_rows) of a tensor (a vector is one row), row-major, as `dtype`.
  // `out` may be unaligned.
  virtual void read_rows(const WeightSpec& spec, std::int64_t row_begin, std::int64_t num_rows, DType dtype,
                         void* out) = 0;
};

// Reads mapped safetensors, which must outlive the source.
std::unique_ptr<TensorSource> file_source(Weights& weights);

// Uniformly random weights scaled by 1 / sqrt(fan-in), and norms of 1: activations stay in range.
std::unique_ptr<TensorSource> random_source(std::uint64_t seed);

}  // namespace quire
