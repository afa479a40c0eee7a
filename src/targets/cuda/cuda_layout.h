// What the emulator shares with the target that it imitates: layouts behind the host's interfaces, and what
// matrix units round.
#pragma once

#include "device/layout.h"

namespace quire {

constexpr int chunk_elems(DType dtype) { return static_cast<int>(16 / dtype_bytes(dtype)); }

std::unique_ptr<PageLayout> cuda_page_layout(const KvFormat& format, HeadShape heads, int page_size);
std::unique_ptr<WeightLayout> cuda_weight_layout(const WeightFormat& format, int out_dim, int in_dim);

// Matrix units cut off what does not fit, and so add a bias; largest seen on an H200: 3.5. See
// DeviceCaps::dot_error.
constexpr double kMatrixUnitError = 4;

}  // namespace quire
