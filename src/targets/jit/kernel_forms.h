// Finds the code for a variant and the params of a launch. A variant may have several forms: for few or many
// rows, for heads of exactly the compiled sizes or smaller ones, for rows of whole spans or any rows.
#pragma once

#include <compare>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/kernel_variant.h"
#include "targets/jit/tile_rules.h"

namespace quire {

// One form of one variant. Instances with the same code are equal.
struct KernelInstance {
  KernelVariant variant;
  int form = 0;
  auto operator<=>(const KernelInstance&) const = default;
};

// The variant as it is compiled: head sizes become those that the rules compile for, and score mods none or
// all.
KernelVariant compiled_variant(const KernelVariant& variant, const TileRules& rules);

int num_forms(const KernelVariant& compiled);
int form_of(const KernelVariant& compiled, const void* params);

// `tiles`: for an attention kernel; null: those of the heuristics.
JitKernel make_kernel(const KernelInstance& instance, const TileRules& rules,
                      const AttentionTiles* tiles = nullptr);

// The class of problems of an attention kernel; empty for other kernels.
std::optional<AttentionClass> attention_class(const KernelInstance& instance);

// Common head sizes that are not bounds.
constexpr HeadShape kUsualHeads[] = {{80, 80}, {96, 96}, {112, 112}};

// Every kernel that a launch may need, each once; for compile tests and to fill the cache. Attention that is
// compiled for exact head sizes is included for the bounds and for `heads`.
std::vector<KernelInstance> all_instances(const TileRules& rules,
                                          std::span<const HeadShape> heads = kUsualHeads);

// The number of work items of this kernel; `num_work` is that of the launch.
int num_work_items(KernelName name, const JitKernel& kernel, const void* params, int num_work);

}  // namespace quire
