#include "device/kernel_variant.h"

#include "base/check.h"

namespace quire {
namespace {

std::string text_of(const AttentionVariant& v) {
  return fmt::format("attention q {} k {} v {} o {} heads {}/{} mods {}", to_string(v.q), to_string(v.kv.k),
                     to_string(v.kv.v), to_string(v.o), v.heads.qk, v.heads.vo, v.mods);
}
std::string text_of(const LinearVariant& v) {
  return fmt::format("linear {} x {} -> {}", to_string(v.x), to_string(v.weight.type), to_string(v.y));
}
std::string text_of(const RowVariant& v) {
  return fmt::format("{} {}", facts_of(v.kernel).name, to_string(v.dtype));
}

}  // namespace

KernelName kernel_of(const KernelVariant& variant) {
  if (const auto* row = std::get_if<RowVariant>(&variant)) return row->kernel;
  return std::holds_alternative<LinearVariant>(variant) ? KernelName::kLinear : KernelName::kAttention;
}

std::string to_string(const KernelVariant& variant) {
  return std::visit([](const auto& v) { return text_of(v); }, variant);
}

DType common_type(const AttentionVariant& v) {
  const bool is_plain = v.kv == plain_kv(v.q) && v.o == v.q;
  QUIRE_CHECK_KIND(kUnsupported, is_plain, "no kernel {}: q, k, v and o have one type, without scales",
                   text_of(v));
  return v.q;
}

DType common_type(const LinearVariant& v) {
  const bool is_plain = v.weight.type == v.x && (v.y == v.x || v.y == DType::kF32);
  QUIRE_CHECK_KIND(kUnsupported, is_plain, "no kernel {}: weights have the type of x, y has it too or is f32",
                   text_of(v));
  return v.x;
}

}  // namespace quire
