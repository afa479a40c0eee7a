// What the emulator shares with the target that it imitates: how pages and weights lie, and what matrix units round.
#pragma once

#include "base/dtype.h"
#include "tile/page_layout.h"

namespace quire {

inline NativeLayout cuda_layout(DType dtype) { return {LayoutKind::kSwizzled, static_cast<int>(16 / dtype_bytes(dtype))}; }

// Matrix units cut off what does not fit, and so add a bias; largest seen on an H200: 3.5. See DeviceCaps::dot_error.
constexpr double kMatrixUnitError = 4;

}  // namespace quire
