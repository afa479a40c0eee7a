#include "targets/cuda/cublaslt.h"

#include "targets/cuda/nvrtc.h"

namespace quire {
namespace {

constexpr LtDialect kCublasLt{
    .prefix = "cublasLt",
    .has_status_string = true,
    .f32 = 0,  // cudaDataType_t (library_types.h)
    .f16 = 2,
    .bf16 = 14,
    .compute_f32 = 68,      // cublasComputeType_t
    .transpose = 1,         // cublasOperation_t
    .desc_transpose_a = 3,  // cublasLtMatmulDescAttributes_t
    .desc_epilogue = 7,
    .desc_bias = 8,
    .desc_bias_type = 26,
    .epilogue_bias = 4,  // cublasLtEpilogue_t
    .max_workspace = 1,  // cublasLtMatmulPreferenceAttributes_t
    .min_alignment = 5,
    .not_supported = 15,    // cublasStatus_t
    .algorithm_bytes = 64,  // cublasLtMatmulAlgo_t
};

}  // namespace

std::unique_ptr<VendorLinear> try_open_cublaslt(const std::string& path, int max_major,
                                                std::shared_ptr<GpuApi> api) {
  return try_open_lt(toolkit_names("libcublasLt", path, max_major), kCublasLt, std::move(api));
}

}  // namespace quire
