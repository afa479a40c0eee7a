// The native layouts of pages and weights: the worked examples of docs/layouts.md, and what every layout must
// keep.
#include "device/layout.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <set>
#include <vector>

#include "targets/cpu/cpu_layout.h"
#include "targets/cuda/cuda_layout.h"

namespace quire {
namespace {

using MakePage = std::unique_ptr<PageLayout> (*)(const KvFormat&, HeadShape, int);
using MakeWeight = std::unique_ptr<WeightLayout> (*)(const WeightFormat&, int, int);
constexpr MakePage kPages[] = {cpu_page_layout, cuda_page_layout};
constexpr MakeWeight kWeights[] = {cpu_weight_layout, cuda_weight_layout};

TEST(PanelPages, WorkedExamples) {
  const auto bf16 = cpu_page_layout(plain_kv(DType::kBF16), {64, 64}, 32);
  EXPECT_EQ(bf16->k_elems(), 2048);
  EXPECT_EQ(bf16->v_elems(), 2048);
  EXPECT_EQ(bf16->k_offset(0, 1), 1);
  EXPECT_EQ(bf16->k_offset(1, 0), 2);
  EXPECT_EQ(bf16->k_offset(0, 2), 32);
  EXPECT_EQ(bf16->k_offset(16, 0), 1024);
  EXPECT_EQ(bf16->k_offset(21, 7), 1131);
  EXPECT_EQ(bf16->v_offset(0, 1), 2);
  EXPECT_EQ(bf16->v_offset(1, 0), 1);
  EXPECT_EQ(bf16->v_offset(0, 2), 4);
  EXPECT_EQ(bf16->v_offset(16, 0), 256);
  EXPECT_EQ(bf16->v_offset(21, 7), 335);
  for (const DType dtype : {DType::kF16, DType::kF32}) {
    const auto single = cpu_page_layout(plain_kv(dtype), {64, 64}, 32);
    EXPECT_EQ(single->k_offset(0, 1), 16);
    EXPECT_EQ(single->k_offset(1, 0), 1);
    EXPECT_EQ(single->k_offset(21, 7), 1141);
    EXPECT_EQ(single->v_offset(0, 1), 1);
    EXPECT_EQ(single->v_offset(1, 0), 16);
    EXPECT_EQ(single->v_offset(21, 7), 343);
  }
  const auto odd = cpu_page_layout(plain_kv(DType::kBF16), {7, 20}, 16);
  EXPECT_EQ(odd->k_elems(), 128);
  EXPECT_EQ(odd->v_elems(), 512);
  EXPECT_EQ(odd->k_offset(15, 6), 126);
  EXPECT_EQ(odd->k_offset(15, 7), 127) << "its zero";
  EXPECT_EQ(odd->v_offset(0, 16), 256);
  EXPECT_EQ(odd->v_offset(15, 19), 487);
  const auto rows = cpu_page_layout(plain_kv(DType::kBF16), {64, 48}, 5);
  EXPECT_EQ(rows->k_elems(), 320);
  EXPECT_EQ(rows->v_elems(), 240);
  EXPECT_EQ(rows->k_offset(3, 7), 199);
  EXPECT_EQ(rows->v_offset(3, 7), 151);
}

TEST(SwizzledPages, WorkedExamples) {
  const auto bf16 = cuda_page_layout(plain_kv(DType::kBF16), {128, 64}, 16);
  EXPECT_EQ(bf16->k_elems(), 2048);
  EXPECT_EQ(bf16->v_elems(), 1024);
  EXPECT_EQ(bf16->k_offset(0, 1), 1);
  EXPECT_EQ(bf16->k_offset(0, 8), 8);
  EXPECT_EQ(bf16->k_offset(1, 0), 72) << "row 1 begins at 64; chunk 0 is at place 1";
  EXPECT_EQ(bf16->k_offset(1, 8), 64);
  EXPECT_EQ(bf16->k_offset(9, 0), 584);
  EXPECT_EQ(bf16->k_offset(0, 64), 1024) << "the second panel";
  EXPECT_EQ(bf16->v_offset(5, 63), 343 + 0);
  const auto narrow = cuda_page_layout(plain_kv(DType::kBF16), {80, 104}, 16);
  EXPECT_EQ(narrow->k_elems(), 16 * 80) << "nothing is padded";
  EXPECT_EQ(narrow->v_elems(), 16 * 104);
  EXPECT_EQ(narrow->k_offset(1, 64), 1040) << "a panel of 2 chunks";
  EXPECT_EQ(narrow->k_offset(4, 64), 1096) << "row 4 begins at 1,088; chunk 8 is at place 1";
  EXPECT_EQ(narrow->v_offset(2, 64), 1096) << "a panel of 4 chunks";
  EXPECT_EQ(narrow->v_offset(3, 96), 1560) << "the last chunk";
  EXPECT_EQ(cuda_page_layout(plain_kv(DType::kBF16), {77, 77}, 16)->k_elems(), 16 * 80) << "whole chunks";
  const auto f32 = cuda_page_layout(plain_kv(DType::kF32), {64, 64}, 16);
  EXPECT_EQ(f32->k_offset(0, 32), 512) << "a panel has 32 columns";
  EXPECT_EQ(f32->k_offset(3, 4), 96 + 2 * 4);
}

TEST(PackedWeights, WorkedExamples) {
  const auto bf16 = cpu_weight_layout({DType::kBF16}, 40, 10), f32 = cpu_weight_layout({DType::kF32}, 40, 10);
  EXPECT_EQ(bf16->elems(), 480);
  EXPECT_EQ(bf16->offset(0, 1), 1);
  EXPECT_EQ(bf16->offset(0, 3), 33);
  EXPECT_EQ(bf16->offset(17, 3), 195);
  EXPECT_EQ(bf16->offset(39, 9), 463);
  EXPECT_EQ(f32->offset(0, 1), 16);
  EXPECT_EQ(f32->offset(0, 3), 48);
  EXPECT_EQ(f32->offset(17, 3), 209);
  EXPECT_EQ(f32->offset(39, 9), 471);
  const auto rows = cuda_weight_layout({DType::kBF16}, 40, 10);
  EXPECT_EQ(rows->elems(), 640);
  EXPECT_EQ(rows->offset(17, 3), 275);
}

// No two elements meet, and all lie inside.
TEST(Layouts, IndexMapsAreInjective) {
  for (const MakePage make : kPages) {
    for (const DTypeFacts& e : kDTypeFacts) {
      for (const int page_size : {1, 5, 16, 48}) {
        for (const HeadShape heads :
             {HeadShape{64, 64}, HeadShape{80, 96}, HeadShape{7, 33}, HeadShape{576, 512}}) {
          const auto layout = make(plain_kv(e.dtype), heads, page_size);
          std::set<long> keys, values;
          for (int token = 0; token < page_size; ++token) {
            for (int dim = 0; dim < layout->stored_k_dim(); ++dim) keys.insert(layout->k_offset(token, dim));
            for (int dim = 0; dim < layout->stored_v_dim(); ++dim)
              values.insert(layout->v_offset(token, dim));
          }
          EXPECT_EQ(keys.size(), static_cast<std::size_t>(page_size * layout->stored_k_dim()));
          EXPECT_EQ(values.size(), static_cast<std::size_t>(page_size * layout->stored_v_dim()));
          EXPECT_GE(*keys.begin(), 0);
          EXPECT_LT(*keys.rbegin(), layout->k_elems());
          EXPECT_LT(*values.rbegin(), layout->v_elems());
          EXPECT_GE(layout->stored_k_dim(), heads.qk);
          EXPECT_GE(layout->stored_v_dim(), heads.vo);
        }
      }
    }
  }
}

TEST(Layouts, PartsOfAPageFollowEachOther) {
  for (const MakePage make : kPages) {
    KvFormat format = plain_kv(DType::kBF16);
    const HeadShape heads{64, 64};
    const auto plain = make(format, heads, 16);
    EXPECT_EQ(plain->v_begin_bytes(), 2048u);
    EXPECT_EQ(plain->scales_begin_bytes(), 4096u);
    EXPECT_EQ(plain->bytes(), 4096u);
    format.scale = ScaleKind::kPerTokenHead;
    EXPECT_EQ(make(format, heads, 16)->bytes(), 4096u + 2 * 16 * sizeof(float));
    EXPECT_EQ(make(format, heads, 5)->scales_begin_bytes() % 16, 0u);
    EXPECT_EQ(make(format, heads, 5)->bytes() % 16, 0u);
    format = plain_kv(DType::kBF16);
    format.v_is_prefix_of_k = true;
    EXPECT_EQ(make(format, {576, 512}, 16)->bytes(), 576u * 16 * 2) << "values stand in the keys";
  }
}

template <class Bits>
void expect_packed(const WeightLayout& layout, int out_dim, int in_dim) {
  std::vector<Bits> plain(static_cast<std::size_t>(out_dim) * static_cast<std::size_t>(in_dim));
  std::iota(plain.begin(), plain.end(), Bits{1});
  std::vector<Bits> by_map(static_cast<std::size_t>(layout.elems())), by_groups(by_map.size(), Bits{0xabcd});
  for (int n = 0; n < out_dim; ++n) {
    for (int k = 0; k < in_dim; ++k)
      by_map[static_cast<std::size_t>(layout.offset(n, k))] = plain[static_cast<std::size_t>(n * in_dim + k)];
  }
  std::size_t at = 0;
  for (int n = 0; n < out_dim; n += WeightLayout::kGroup) {
    const int num = std::min(WeightLayout::kGroup, out_dim - n);
    layout.pack_group(reinterpret_cast<const std::byte*>(plain.data() + static_cast<std::size_t>(n * in_dim)),
                      num, sizeof(Bits), reinterpret_cast<std::byte*>(by_groups.data() + at));
    at += static_cast<std::size_t>(layout.group_elems(num));
  }
  EXPECT_EQ(at, by_map.size());
  EXPECT_EQ(by_groups, by_map);
}

TEST(Layouts, GroupsArePackedAsTheMapSays) {
  for (const MakeWeight make : kWeights) {
    for (const int out_dim : {16, 40, 3}) {
      for (const int in_dim : {8, 10, 33}) {
        expect_packed<std::uint32_t>(*make({DType::kF32}, out_dim, in_dim), out_dim, in_dim);
        expect_packed<std::uint16_t>(*make({DType::kBF16}, out_dim, in_dim), out_dim, in_dim);
        expect_packed<std::uint16_t>(*make({DType::kF16}, out_dim, in_dim), out_dim, in_dim);
      }
    }
  }
}

}  // namespace
}  // namespace quire
