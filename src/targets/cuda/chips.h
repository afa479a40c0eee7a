// NVIDIA's names for its chips, and the rules and the compiler for each of them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "targets/jit/kernel_compiler.h"
#include "targets/jit/tile_rules.h"

namespace quire {

struct DeviceOptions;
class Nvrtc;

// The chip's architecture as the compiler names it: "sm_90a" (with the warpgroup matrix instructions) for
// compute capability 9.0, otherwise "sm_" and the newest of `chips` that the chip runs: of its own major
// version and not newer than itself. Throws Error{kUnsupported} for a chip below 8.0 or one that the compiler
// does not reach.
std::string architecture_of(int sm, std::span<const int> chips);

// 90 of "sm_90a". Throws Error{kInvalidArgument} for other text.
int sm_of(const std::string& architecture);

// The chip whose kernel configurations are used for `sm`: the newest of 80, 86, 89, 90, 100, 120 that is not
// newer than it.
int kernel_family(int sm);

// The rules for a family: 80, 86, 89, 90, 100 or 120. `own_heads` limits the head sizes for which attention
// is compiled exactly, to these sizes with bf16; other sizes use the kernel of their bound, with slower
// copies. If it is empty, any size is compiled exactly.
std::unique_ptr<TileRules> cuda_rules(int family, std::span<const HeadShape> own_heads = {});

// A compiler with these options and the kernels' texts; `max_major` as in Nvrtc.
KernelCompiler make_cuda_compiler(const DeviceOptions& options, int max_major = 99);

// Architecture of the GPU at options.device_idx, for a program that fills the cache. Throws
// Error{kUnsupported} with the reason if there is none.
std::string present_architecture(const DeviceOptions& options);

}  // namespace quire
