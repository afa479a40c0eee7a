// Instantiates every kernel for one instruction-set level. Included once by each levels/*.cpp, after QUIRE_TARGET is set.
#pragma once

#include "kernels/attention.h"
#include "kernels/kv_write.h"
#include "kernels/layers.h"
#include "kernels/linear.h"
#include "kernels/merge_state.h"
#include "kernels/sampling.h"
#include "kernels/token_draw.h"
#include "targets/cpu/ceilings.h"
#include "targets/cpu/kernel_table.h"

namespace quire {
namespace QUIRE_TARGET {

// 64 rows x 256 keys: scores, queries and output fit the second-level cache beside a tile of keys and values.
struct AttentionConfig {
  static constexpr int kRows = 64, kKeys = 256, kHeadDim = 256, kPartsAtOnce = 1;
  static constexpr bool kTransforms = true;
};
struct LinearManyConfig {
  static constexpr int kRows = 96, kCols = 256, kDepth = 512;
};
struct LinearFewConfig {
  static constexpr int kRows = 16, kCols = 64, kDepth = 2048;
};

template <class Kernel, class Params>
void run_kernel(const CpuLaunch& launch) {
  Program program{launch.scratch, launch.scratch_bytes, launch.next_item};
  Kernel::run(program, *static_cast<const Params*>(launch.params));
}

template <class Ceiling>
void run_ceiling(const CpuLaunch& launch) {
  Program program{launch.scratch, launch.scratch_bytes, launch.next_item};
  Ceiling::run(program, *static_cast<const CeilingParams*>(launch.params), launch.program_idx);
}

template <class E>
void fill_dtype(CpuKernelTable& table, int dtype) {
  CpuKernel column[kNumCpuKernels] = {
      run_kernel<Attention<E, AttentionConfig, AttentionConfig>, AttentionParams>,
      run_kernel<MergeState<E>, MergeStateParams>,
      run_kernel<KvWrite<E>, KvWriteParams>,
      run_kernel<Linear<E, E, LinearManyConfig>, LinearParams>,
      run_kernel<Linear<E, float, LinearManyConfig>, LinearParams>,
      run_kernel<RmsNorm<E>, RmsNormParams>,
      run_kernel<Rope<E>, RopeParams>,
      run_kernel<Activation<E>, ActivationParams>,
      run_kernel<Embedding<E>, EmbeddingParams>,
      run_kernel<SampleGreedy, SampleGreedyParams>,
      run_kernel<SampleBins, SampleDrawParams>,
      run_kernel<SampleCut, SampleDrawParams>,
      run_kernel<SampleDraw, SampleDrawParams>,
      run_kernel<TakeTokens, TakeTokensParams>,
      run_ceiling<CeilingRead>,
      run_ceiling<CeilingFma>,
      run_ceiling<CeilingDot>,
  };
  for (int k = 0; k < kNumCpuKernels; ++k) table.kernels[k][dtype] = column[k];
  table.linear_few[0][dtype] = run_kernel<Linear<E, E, LinearFewConfig>, LinearParams>;
  table.linear_few[1][dtype] = run_kernel<Linear<E, float, LinearFewConfig>, LinearParams>;
}

// An upper bound of what the largest kernel takes from the arena, in f32.
constexpr unsigned long attention_scratch() {
  using C = AttentionConfig;
  const unsigned long tiles = C::kRows * (2 * padded_cols(C::kHeadDim) + padded_cols(C::kKeys));
  const unsigned long copies = 2ul * (C::kKeys + kPanelCols) * (C::kHeadDim + kPanelCols);
  return (tiles + copies) * sizeof(float) + 4096;
}
template <class C>
constexpr unsigned long linear_scratch() {
  return C::kRows * (padded_cols(C::kCols) + padded_cols(C::kDepth)) * sizeof(float) + 4096;
}
constexpr unsigned long most(unsigned long a, unsigned long b) { return a > b ? a : b; }

inline CpuKernelTable make_table(const char* level) {
  CpuKernelTable table{};
  table.level = level;
  fill_dtype<float>(table, 0);
  fill_dtype<f16>(table, 1);
  fill_dtype<bf16>(table, 2);
  table.linear_few_rows = 4;
  table.linear_few_cols = LinearFewConfig::kCols;
  table.linear_cols = LinearManyConfig::kCols;
  table.linear_rows = LinearManyConfig::kRows;
  table.attention_rows = AttentionConfig::kRows;
  table.attention_keys = AttentionConfig::kKeys;
  table.scratch_bytes =
      most(attention_scratch(), most(linear_scratch<LinearManyConfig>(), linear_scratch<LinearFewConfig>()));
#if defined(__AVX512BF16__)
  table.has_pair_dot = true;
#endif
  return table;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
