#include "targets/jit/row_weights.h"

#include <algorithm>

#include "tile/ranges.h"

namespace quire {

RowWeights::RowWeights(int out_dim, int in_dim, int unit)
    : out_dim_(out_dim), in_dim_(in_dim), stride_(round_up(in_dim, unit)) {}

void RowWeights::pack_group(const std::byte* rows, int num, std::size_t elem_bytes, std::byte* to) const {
  const std::size_t row_bytes = static_cast<std::size_t>(in_dim_) * elem_bytes;
  const std::size_t stride_bytes = static_cast<std::size_t>(stride_) * elem_bytes;
  for (int n = 0; n < num; ++n, rows += row_bytes, to += stride_bytes) {
    std::copy_n(rows, row_bytes, to);
    std::fill(to + row_bytes, to + stride_bytes, std::byte{0});
  }
}

}  // namespace quire
