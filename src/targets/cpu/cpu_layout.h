// The CPU's layouts of pages and weights, as the host's interfaces.
#pragma once

#include "device/layout.h"

namespace quire {

// 2 for bf16, because a pair-dot instruction reads two neighbours of the summed dimension. All levels use the
// same layout, also those without such an instruction.
constexpr int pair_of(DType dtype) { return dtype == DType::kBF16 ? 2 : 1; }

std::unique_ptr<PageLayout> cpu_page_layout(const KvFormat& format, HeadShape heads, int page_size);
std::unique_ptr<WeightLayout> cpu_weight_layout(const WeightFormat& format, int out_dim, int in_dim);

}  // namespace quire
