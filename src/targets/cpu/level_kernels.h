// Instantiates every kernel for one instruction-set level. Included once by each levels/*.cpp, after
// QUIRE_TARGET is set.
#pragma once

#include "kernels/catalogue.h"
#include "kernels/kv_write.h"
#include "kernels/layers.h"
#include "kernels/linear.h"
#include "kernels/merge_state.h"
#include "kernels/paged_attention.h"
#include "kernels/sample_draw.h"
#include "kernels/sampling.h"
#include "targets/cpu/kernel_table.h"
#include "targets/cpu/tile/ceiling_kernels.h"

namespace quire {
namespace QUIRE_TARGET {

// 64 rows x 256 keys: scores, queries, output, and a tile of keys and values fit in the second-level cache.
struct AttentionConfig {
  static constexpr int kRows = 64, kKeys = 256, kDimQk = kMaxHeadDimQk, kDimVo = kMaxHeadDimVo;
  static constexpr int kValueParts = 1, kPartsAtOnce = 1;
  static constexpr unsigned kMods = kAllScoreMods;
};
struct LinearManyConfig {
  static constexpr int kRows = 96, kCols = 256, kDepth = 512;
};
struct LinearFewConfig {
  static constexpr int kRows = 16, kCols = 64, kDepth = 2048;
};

template <class Kernel, class Params>
void run_kernel(const CpuLaunch& launch) {
  Program program{launch.scratch, launch.scratch_bytes, launch.next_item, launch.program_idx};
  Kernel::run(program, *static_cast<const Params*>(launch.params));
}

// Kernels with tiles have their own tables in CpuKernelTable.
template <class E>
void add_row_kernels(CpuKernelTable& table, int dtype) {
#define QUIRE_TILED(...)
#define QUIRE_PLAIN(...)
#define QUIRE_TYPED(Name, name, Params, header) \
  table.rows[static_cast<int>(KernelName::k##Name)][dtype] = run_kernel<Name<E>, Params>;
  QUIRE_KERNELS(QUIRE_TILED, QUIRE_TYPED, QUIRE_PLAIN)
#undef QUIRE_TYPED
#undef QUIRE_PLAIN
#undef QUIRE_TILED
}

inline void add_plain_kernels(CpuKernelTable& table) {
#define QUIRE_TILED(...)
#define QUIRE_TYPED(...)
#define QUIRE_PLAIN(Name, name, Params, header) \
  table.rows[static_cast<int>(KernelName::k##Name)][0] = run_kernel<Name, Params>;
  QUIRE_KERNELS(QUIRE_TILED, QUIRE_TYPED, QUIRE_PLAIN)
#undef QUIRE_PLAIN
#undef QUIRE_TYPED
#undef QUIRE_TILED
}

template <class E>
void fill_dtype(CpuKernelTable& table, int dtype) {
  add_row_kernels<E>(table, dtype);
  table.attention[dtype] =
      run_kernel<Attention<E, KvTypes<E, E>, E, AttentionConfig, AttentionConfig>, AttentionParams>;
  table.linear[0][0][dtype] =
      run_kernel<Linear<PlainInput<E>, PlainWeight<E>, BiasOutput<E, E>, LinearManyConfig>, LinearParams>;
  table.linear[0][1][dtype] =
      run_kernel<Linear<PlainInput<E>, PlainWeight<E>, BiasOutput<E, float>, LinearManyConfig>, LinearParams>;
  table.linear[1][0][dtype] =
      run_kernel<Linear<PlainInput<E>, PlainWeight<E>, BiasOutput<E, E>, LinearFewConfig>, LinearParams>;
  table.linear[1][1][dtype] =
      run_kernel<Linear<PlainInput<E>, PlainWeight<E>, BiasOutput<E, float>, LinearFewConfig>, LinearParams>;
}

// An upper bound of what attention takes from the arena, with f32 elements.
constexpr unsigned long attention_scratch() {
  using C = AttentionConfig;
  const unsigned long tiles =
      C::kRows * (padded_cols(C::kDimQk) + padded_cols(C::kDimVo) + padded_cols(C::kKeys));
  const unsigned long copies = (C::kKeys + kPanelCols + 0ul) * (C::kDimQk + C::kDimVo + 2 * kPanelCols);
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
  add_plain_kernels(table);
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
