// From a kernel's text to machine code for one chip: from the cache on disk, or through NVRTC, several
// kernels at a time.
#pragma once

#include <exception>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "device/device.h"
#include "device/jit_cache.h"
#include "targets/cuda/kernel_choice.h"
#include "targets/cuda/nvrtc.h"

namespace quire {

// The chip's architecture as the compiler names it: "sm_90a" (with the warpgroup matrix instructions) for
// compute capability 9.0, otherwise "sm_" and the newest of `chips` that the chip runs: of its own major
// version and not newer than itself. Throws Error{kUnsupported} for a chip below 8.0 or one that the compiler
// does not reach.
std::string architecture_of(int sm, std::span<const int> chips);

// 90 of "sm_90a". Throws Error{kInvalidArgument} for other text.
int sm_of(const std::string& architecture);

// The chip whose kernel configurations serve `sm`: the newest of 80, 86, 89, 90, 100, 120 that is not newer.
int kernel_family(int sm);

// Bytes that a thread keeps in memory because registers do not suffice, as the compiler's log says: stores and loads in the code.
// Throws Error{kInternal} if it does not say.
int spilled_bytes(const std::string& log);

class KernelCompiler {
 public:
  // Of one finished kernel; called by one thread at a time.
  using Report = std::function<void(const CompiledKernel& kernel, bool is_from_disk)>;

  // Cache folder and compiler from the options; `max_major` as in Nvrtc.
  explicit KernelCompiler(const DeviceOptions& options, int max_major = 99);

  const Nvrtc& nvrtc() const { return nvrtc_; }
  const JitCache& cache() const { return cache_; }

  // Everything that the code of this kernel depends on.
  JitKey key_of(const CudaKernel& kernel, const std::string& architecture) const;

  struct Outcome {
    CompiledKernel kernel;
    std::exception_ptr error;  // null if there is none
  };

  // In the order of `kernels`.
  std::vector<Outcome> try_get(std::span<const CudaKernel> kernels, const std::string& architecture,
                               const Report& report = {});

  // The same; throws the first error, after all are done.
  std::vector<CompiledKernel> get(std::span<const CudaKernel> kernels, const std::string& architecture,
                                  const Report& report = {});

  // Why kernels could not be kept on disk, if they could not.
  const std::string& store_failure() const { return store_failure_; }

 private:
  std::vector<std::string> options_of(const CudaKernel& kernel, const std::string& architecture) const;
  CompiledKernel get_one(const CudaKernel& kernel, const std::string& architecture, bool& is_from_disk,
                         std::string& store_failure) const;

  Nvrtc nvrtc_;
  JitCache cache_;
  JitKey text_digest_;
  bool lane_arrivals_;
  std::string store_failure_;
};

// Architecture of the GPU at options.device_idx, for a program that fills the cache. Throws
// Error{kUnsupported} with the reason if there is none.
std::string present_architecture(const DeviceOptions& options, const Nvrtc& nvrtc);

}  // namespace quire
