// The CPU's layouts behind the host's interfaces.
#pragma once

#include "device/layout.h"

namespace quire {

// 2 for bf16: a pair-dot instruction reads two neighbours of the summed dimension, and all levels store them
// so.
constexpr int pair_of(DType dtype) { return dtype == DType::kBF16 ? 2 : 1; }

std::unique_ptr<PageLayout> cpu_page_layout(const KvFormat& format, HeadShape heads, int page_size);
std::unique_ptr<WeightLayout> cpu_weight_layout(const WeightFormat& format, int out_dim, int in_dim);

}  // namespace quire
