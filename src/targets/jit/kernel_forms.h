// From a variant and the params of a launch to the code that serves it: a variant may have several forms,
// which differ in what the catalogue leaves open (numbers of rows, heads of just the size that was compiled,
// rows of whole spans).
#pragma once

#include <compare>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/kernel_variant.h"
#include "targets/jit/tile_rules.h"

namespace quire {

// One form of one variant. Instances of variants that differ in nothing that is compiled are equal.
struct KernelInstance {
  KernelVariant variant;
  int form = 0;
  auto operator<=>(const KernelInstance&) const = default;
};

// The variant with what the code does not depend on made equal: head sizes become those that the rules
// compile for, score mods none or all.
KernelVariant compiled_variant(const KernelVariant& variant, const TileRules& rules);

int num_forms(const KernelVariant& compiled);
int form_of(const KernelVariant& compiled, const void* params);

// `tiles`: of an attention kernel; null: what the heuristics choose.
JitKernel make_kernel(const KernelInstance& instance, const TileRules& rules,
                      const AttentionTiles* tiles = nullptr);

// The problems that an attention kernel serves; nothing for other kernels.
std::optional<AttentionClass> attention_class(const KernelInstance& instance);

// Head sizes of models in use that are no bounds.
constexpr HeadShape kUsualHeads[] = {{80, 80}, {96, 96}, {112, 112}};

// Every kernel that can be asked for (compile gate, cache fill), none twice; where attention is
// compiled for head sizes of its own, those of the bounds and of `heads`.
std::vector<KernelInstance> all_instances(const TileRules& rules,
                                          std::span<const HeadShape> heads = kUsualHeads);

// Work items of this kernel; `num_work` as the launch gives it.
int num_work_items(KernelName name, const JitKernel& kernel, const void* params, int num_work);

}  // namespace quire
