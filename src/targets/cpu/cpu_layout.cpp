#include "targets/cpu/cpu_layout.h"

#include <algorithm>
#include <cstdint>

#include "targets/cpu/tile/panel_page.h"
#include "tile/ranges.h"

namespace quire {
namespace {

class PanelWeightLayout : public WeightLayout {
 public:
  explicit PanelWeightLayout(const PanelWeight& weight) : weight_(weight) {}
  long elems() const override { return weight_.elems(); }
  long offset(int n, int k) const override { return weight_.offset(n, k); }
  long group_elems(int) const override { return long{round_up(weight_.in_dim, weight_.pair)} * kPanelCols; }
  void pack_group(const std::byte* rows, int num, std::size_t elem_bytes, std::byte* to) const override {
    std::fill_n(to, static_cast<std::size_t>(group_elems(num)) * elem_bytes, std::byte{0});
    elem_bytes == 4 ? pack<std::uint32_t>(rows, num, to) : pack<std::uint16_t>(rows, num, to);
  }

 private:
  static_assert(kGroup == kPanelCols, "a group is a panel");

  template <class Bits>
  void pack(const std::byte* rows, int num, std::byte* panel) const {
    const auto* from = reinterpret_cast<const Bits*>(rows);
    auto* to = reinterpret_cast<Bits*>(panel);
    const int pair = weight_.pair;
    for (int k = 0; k < weight_.in_dim; ++k) {
      Bits* step = to + weight_.offset(0, k);
      for (int n = 0; n < num; ++n) step[n * pair] = from[static_cast<long>(n) * weight_.in_dim + k];
    }
  }

  const PanelWeight weight_;
};

}  // namespace

std::unique_ptr<PageLayout> cpu_page_layout(const KvFormat& format, HeadShape heads, int page_size) {
  return std::make_unique<PageLayoutOf<PanelPage>>(
      format, PanelPage{page_size, heads.qk, heads.vo, pair_of(format.k)});
}

std::unique_ptr<WeightLayout> cpu_weight_layout(const WeightFormat& format, int out_dim, int in_dim) {
  return std::make_unique<PanelWeightLayout>(PanelWeight{out_dim, in_dim, pair_of(format.type)});
}

}  // namespace quire
