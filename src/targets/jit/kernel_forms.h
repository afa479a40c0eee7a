// From a variant and the params of a launch to the code that serves it: a variant may have several forms,
// which differ in what the catalogue leaves open (numbers of rows, heads that meet their bound, rows of whole
// spans).
#pragma once

#include <compare>
#include <optional>
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

// The variant with what the code does not depend on made equal: head sizes become their bound, score mods
// none or all.
KernelVariant compiled_variant(const KernelVariant& variant);

int num_forms(const KernelVariant& variant);
int form_of(const KernelVariant& variant, const void* params);

// `tiles`: of an attention kernel; null: what the heuristics choose.
JitKernel make_kernel(const KernelInstance& instance, const TileRules& rules,
                      const AttentionTiles* tiles = nullptr);

// The problems that an attention kernel serves; nothing for other kernels.
std::optional<AttentionClass> attention_class(const KernelInstance& instance);

// Every kernel that can be asked for (compile gate, cache fill, emulator).
std::vector<KernelInstance> all_instances();

// Work items of this kernel; `num_work` as the launch gives it.
int num_work_items(KernelName name, const JitKernel& kernel, const void* params, int num_work);

}  // namespace quire
