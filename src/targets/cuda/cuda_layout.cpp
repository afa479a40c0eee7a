#include "targets/cuda/cuda_layout.h"

#include "targets/cuda/tile/swizzled_page.h"
#include "targets/jit/row_weights.h"

namespace quire {

std::unique_ptr<PageLayout> cuda_page_layout(const KvFormat& format, HeadShape heads, int page_size) {
  return std::make_unique<PageLayoutOf<SwizzledPage>>(
      format, SwizzledPage{page_size, heads.qk, heads.vo, chunk_elems(format.k)});
}

std::unique_ptr<WeightLayout> cuda_weight_layout(const WeightFormat& format, int out_dim, int in_dim) {
  return std::make_unique<RowWeights>(out_dim, in_dim, chunk_elems(format.type));
}

}  // namespace quire
