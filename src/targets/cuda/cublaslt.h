// y = x W^T + bias by NVIDIA's library where it is present: libcublasLt.
#pragma once

#include "targets/jit/vendor_linear.h"

namespace quire {

// `path`, `max_major` as in Nvrtc; otherwise as try_open_lt.
std::unique_ptr<VendorLinear> try_open_cublaslt(const std::string& path, int max_major,
                                                std::shared_ptr<GpuApi> api);

}  // namespace quire
