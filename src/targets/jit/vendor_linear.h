// Linear layers of many rows by a vendor's library, where it is present: found when the program runs.
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
  // Launches into the device's queue, also while launches are recorded. False, and nothing is launched, if it
  // cannot do it after all. Throws Error{kInternal} with the library's words.
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
  int max_workspace;    // attributes of what is asked of an algorithm
  int min_alignment;    // of operand A; those of B, C and D follow. Negative: nobody asks
  int not_supported;    // status
  int algorithm_bytes;  // of the struct that names an algorithm, at most kMostAlgorithmBytes
};
constexpr int kMostAlgorithmBytes = 64;

// The first of `names` that loads (see DynamicLibrary). Weights lie as RowWeights with chunks of 16 bytes.
// Null if the library is not there or does not start: our own kernel serves. Throws Error{kExhausted} if
// there is no memory on the device for its work.
std::unique_ptr<VendorLinear> try_open_lt(std::span<const std::string> names, const LtDialect& dialect,
                                          std::shared_ptr<GpuApi> api);

}  // namespace quire
