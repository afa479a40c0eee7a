// Which kernels the emulator has of a chip: all but for heads that are no bounds, of which bf16 without changes
// of scores stands for all.
#pragma once

#include "targets/jit/kernel_forms.h"

namespace quire {

// Panels of every width in K and in V, with whole ones and without.
constexpr HeadShape kEmulatedHeads[] = {{80, 80}, {96, 96}, {112, 112}, {72, 104}, {120, 56}};

inline std::vector<KernelInstance> emulated_instances(const TileRules& rules) {
  std::vector<KernelInstance> instances = all_instances(rules, kEmulatedHeads);
  std::erase_if(instances, [](const KernelInstance& instance) {
    const auto* v = std::get_if<AttentionVariant>(&instance.variant);
    if (v == nullptr || v->heads == heads_of_bound(head_dim_bound(std::max(v->heads.qk, v->heads.vo)))) return false;
    return v->q != DType::kBF16 || v->mods != 0;
  });
  return instances;
}

}  // namespace quire
