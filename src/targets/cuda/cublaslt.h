// y = x W^T + bias by NVIDIA's library where it is present: libcublasLt, found when the program runs, with
// declarations of our own for what is used of it (cuBLAS documentation, chapter "Using the cuBLASLt API").
#pragma once

#include <memory>
#include <string>

#include "base/dtype.h"
#include "kernels/params.h"

namespace quire {

struct CuStreamHandle;

struct CublasLinear {
  DType dtype;          // of x, W and bias
  bool is_output_f32;   // y in f32 instead
  const LinearParams& params;
};

struct CublasResources {
  CuStreamHandle* stream;
  void* workspace;  // on the device, for one product at a time
  std::size_t workspace_bytes;
};

class CublasLt {
 public:
  // `path`, `max_major` as in Nvrtc. Null if the library is not there or does not start: our own kernel
  // serves.
  static std::unique_ptr<CublasLt> try_open(const std::string& path, int max_major);
  ~CublasLt();

  // Whether the library's epilogues cover the problem. run() may still find no algorithm.
  bool can_do(const CublasLinear& problem) const;

  // Launches the product on the stream, where it may be recorded into a graph. False, and nothing is
  // launched, if the library cannot do it. The choice of an algorithm is made once a shape. Throws
  // Error{kInternal} with the library's words.
  bool run(const CublasLinear& problem, const CublasResources& resources);

 private:
  struct Impl;
  explicit CublasLt(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quire
