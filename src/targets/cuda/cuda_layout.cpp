#include "targets/cuda/cuda_layout.h"

#include <algorithm>

#include "targets/cuda/tile/swizzled_page.h"

namespace quire {
namespace {

class RowWeightLayout : public WeightLayout {
 public:
  explicit RowWeightLayout(const RowWeight& weight) : weight_(weight) {}
  long elems() const override { return weight_.elems(); }
  long offset(int n, int k) const override { return weight_.offset(n, k); }
  long group_elems(int num) const override { return weight_.offset(num, 0); }
  void pack_group(const std::byte* rows, int num, std::size_t elem_bytes, std::byte* to) const override {
    const std::size_t row_bytes = static_cast<std::size_t>(weight_.in_dim) * elem_bytes;
    const std::size_t stride_bytes = static_cast<std::size_t>(weight_.stride()) * elem_bytes;
    for (int n = 0; n < num; ++n, rows += row_bytes, to += stride_bytes) {
      std::copy_n(rows, row_bytes, to);
      std::fill(to + row_bytes, to + stride_bytes, std::byte{0});
    }
  }

 private:
  const RowWeight weight_;
};

}  // namespace

std::unique_ptr<PageLayout> cuda_page_layout(const KvFormat& format, HeadShape heads, int page_size) {
  return std::make_unique<PageLayoutOf<SwizzledPage>>(
      format, SwizzledPage{page_size, heads.qk, heads.vo, chunk_elems(format.k)});
}

std::unique_ptr<WeightLayout> cuda_weight_layout(const WeightFormat& format, int out_dim, int in_dim) {
  return std::make_unique<RowWeightLayout>(RowWeight{out_dim, in_dim, chunk_elems(format.type)});
}

}  // namespace quire
