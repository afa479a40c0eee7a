// What the cuda target and its emulator share: layouts, as the host's interfaces, and the error of matrix
// units.
#pragma once

#include "device/layout.h"

namespace quire {

constexpr int chunk_elems(DType dtype) { return static_cast<int>(16 / dtype_bytes(dtype)); }

std::unique_ptr<PageLayout> cuda_page_layout(const KvFormat& format, HeadShape heads, int page_size);
std::unique_ptr<WeightLayout> cuda_weight_layout(const WeightFormat& format, int out_dim, int in_dim);

// Matrix units truncate instead of rounding, which adds a bias. The largest seen on an H200 is 3.5; see
// DeviceCaps::dot_error.
constexpr double kMatrixUnitError = 4;

}  // namespace quire
