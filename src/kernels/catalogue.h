// The catalogue of kernels, one line each. Kernel names, parameter sizes, the targets' tables and the source
// for run-time compilers are derived from it. A new kernel needs its text, its parameters, its line here, and
// a check in the self-test.
#pragma once

#include "kernels/params.h"

// TILED(Name, "name", Params, "header"): a template that takes element types and tiles, which each target
// chooses for a variant. TYPED: a template Name<E> of one element type. PLAIN: no template; its tensors have
// fixed types. A header without a folder is in the folder of each target's part of the tile language.
#define QUIRE_KERNELS(TILED, TYPED, PLAIN)                                              \
  TILED(Attention, "attention", AttentionParams, "kernels/paged_attention.h")           \
  TILED(Linear, "linear", LinearParams, "kernels/linear.h")                             \
  TYPED(MergeState, "merge_state", MergeStateParams, "kernels/merge_state.h")           \
  TYPED(KvWrite, "kv_write", KvWriteParams, "kernels/kv_write.h")                       \
  TYPED(RmsNorm, "rms_norm", RmsNormParams, "kernels/layers.h")                         \
  TYPED(Rope, "rope", RopeParams, "kernels/layers.h")                                   \
  TYPED(Activation, "activation", ActivationParams, "kernels/layers.h")                 \
  TYPED(Embedding, "embedding", EmbeddingParams, "kernels/layers.h")                    \
  PLAIN(SampleGreedy, "sample_greedy", SampleGreedyParams, "kernels/sampling.h")        \
  PLAIN(SampleBins, "sample_bins", SampleDrawParams, "kernels/sample_draw.h")           \
  PLAIN(SampleThreshold, "sample_threshold", SampleDrawParams, "kernels/sample_draw.h") \
  PLAIN(SampleDraw, "sample_draw", SampleDrawParams, "kernels/sample_draw.h")           \
  PLAIN(TakeTokens, "take_tokens", TakeTokensParams, "kernels/sampling.h")              \
  PLAIN(CeilingRead, "ceiling_read", CeilingParams, "ceiling_kernels.h")                \
  PLAIN(CeilingFma, "ceiling_fma", CeilingParams, "ceiling_kernels.h")                  \
  PLAIN(CeilingDot, "ceiling_dot", CeilingParams, "ceiling_kernels.h")

namespace quire {

enum class KernelName : unsigned char {
#define QUIRE_KERNEL(Name, name, Params, header) k##Name,
  QUIRE_KERNELS(QUIRE_KERNEL, QUIRE_KERNEL, QUIRE_KERNEL)
#undef QUIRE_KERNEL
};

enum class KernelForm : unsigned char { kTiled, kTyped, kPlain };

struct KernelFacts {
  const char *name, *text;  // "rope", "Rope": the name in messages, and in the kernel's text
  const char* params;       // "RopeParams"
  const char* header;
  unsigned params_bytes;
  KernelForm form;
};

// By KernelName.
constexpr KernelFacts kKernelFacts[] = {
#define QUIRE_KERNEL(form, Name, name, Params, header) \
  {name, #Name, #Params, header, sizeof(Params), KernelForm::form},
#define QUIRE_TILED(Name, name, Params, header) QUIRE_KERNEL(kTiled, Name, name, Params, header)
#define QUIRE_TYPED(Name, name, Params, header) QUIRE_KERNEL(kTyped, Name, name, Params, header)
#define QUIRE_PLAIN(Name, name, Params, header) QUIRE_KERNEL(kPlain, Name, name, Params, header)
    QUIRE_KERNELS(QUIRE_TILED, QUIRE_TYPED, QUIRE_PLAIN)
#undef QUIRE_KERNEL
#undef QUIRE_TILED
#undef QUIRE_TYPED
#undef QUIRE_PLAIN
};
constexpr int kNumKernels = static_cast<int>(sizeof(kKernelFacts) / sizeof(kKernelFacts[0]));

constexpr const KernelFacts& facts_of(KernelName name) { return kKernelFacts[static_cast<int>(name)]; }

}  // namespace quire
