#include "device/layout.h"

namespace quire {
namespace {

std::size_t aligned(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

std::size_t PageLayout::v_begin_bytes() const {
  return static_cast<std::size_t>(k_elems()) * dtype_bytes(format_.k);
}

std::size_t PageLayout::scales_begin_bytes() const {
  const std::size_t values =
      format_.v_is_prefix_of_k ? 0 : static_cast<std::size_t>(v_elems()) * dtype_bytes(format_.v);
  const std::size_t end = v_begin_bytes() + values;
  return format_.scale == ScaleKind::kNone ? end : aligned(end);
}

std::size_t PageLayout::bytes() const {
  if (format_.scale == ScaleKind::kNone) return scales_begin_bytes();
  return aligned(scales_begin_bytes() + 2 * static_cast<std::size_t>(page_size_) * sizeof(float));
}

}  // namespace quire
