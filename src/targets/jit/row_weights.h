// Packed weights as plain rows, for targets whose kernels copy rows of chunks to shared memory.
#pragma once

#include "device/layout.h"

namespace quire {

// Rows of in_dim elements, padded with zeros to whole chunks of `unit` elements.
class RowWeights : public WeightLayout {
 public:
  RowWeights(int out_dim, int in_dim, int unit);

  long elems() const override { return long{stride_} * out_dim_; }
  long offset(int n, int k) const override { return long{n} * stride_ + k; }
  long group_elems(int num) const override { return offset(num, 0); }
  void pack_group(const std::byte* rows, int num, std::size_t elem_bytes, std::byte* to) const override;

 private:
  const int out_dim_, in_dim_;
  const int stride_;  // elements from output to output
};

}  // namespace quire
