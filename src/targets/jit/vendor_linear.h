// Linear layers of many rows by a vendor's library, which is loaded at run time if it is installed.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "device/kernel_variant.h"
#include "kernels/params.h"
#include "targets/jit/gpu_api.h"

namespace quire {

class VendorLinear {
 public:
  virtual ~VendorLinear() = default;
  virtual bool can_do(const LinearVariant& variant, const LinearParams& params) = 0;
  // Launches on the device's queue; may be recorded. Returns false, and launches nothing, if the library
  // cannot do it. Throws Error{kInternal} with the library's message.
  virtual bool run(const LinearVariant& variant, const LinearParams& params) = 0;
};

// NVIDIA's cuBLASLt and libraries made after it (AMD's hipBLASLt) have the same functions in the same form;
// the prefix of the names and the numbers differ.
struct LtDialect {
  const char* prefix;  // "cublasLt"
  bool has_status_string;
  int f32, f16, bf16;                                              // types of elements
  int compute_f32;                                                 // products and sums in f32
  int transpose;                                                   // an operand
  int desc_transpose_a, desc_epilogue, desc_bias, desc_bias_type;  // attributes of a product
  unsigned epilogue_bias;
  int max_workspace;    // attributes of the search for an algorithm
  int min_alignment;    // of operand A; those of B, C and D follow. Negative: there is no such attribute
  int not_supported;    // status
  int algorithm_bytes;  // of the struct that names an algorithm, at most kMostAlgorithmBytes
};
constexpr int kMostAlgorithmBytes = 64;

// The first of `names` that loads (see DynamicLibrary). Weights are RowWeights with chunks of 16 bytes.
// Null if the library is missing or fails to start; our own kernel is used then. Throws Error{kExhausted} if
// there is no memory on the device for its work.
std::unique_ptr<VendorLinear> try_open_lt(std::span<const std::string> names, const LtDialect& dialect,
                                          std::shared_ptr<GpuApi> api);

}  // namespace quire
