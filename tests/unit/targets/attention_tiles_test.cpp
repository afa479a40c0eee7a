// Which tiles are legal on which chip, and what the shipped tables say.
#include "targets/cuda/attention_tiles.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tuning/tuning_store.h"
#include "kernels/params.h"
#include "targets/cuda/embedded_text.h"
#include "targets/cuda/chips.h"
#include "targets/jit/kernel_forms.h"

namespace quire {
namespace {

constexpr int kFamilies[] = {80, 86, 89, 90, 100, 120};

template <class F>
void for_each_class(const F& f) {
  for (const int sm : kFamilies) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (const int head_dim : kHeadDimBounds) {
        for (const BatchKind kind : kBatchKinds) f(AttentionClass{dtype, head_dim, kind}, sm);
      }
    }
  }
}

// What the kernel's text asserts, said again from its own words (thread_ring.h, stages.h, warpgroup.h, tiles.h).
void expect_compilable(const AttentionClass& c, const AttentionTiles& t) {
  const int matrix_keys = c.dtype == DType::kF32 ? 8 : 16, threads = 32 * t.num_warps;
  EXPECT_LE(16 * t.num_warps, 256) << "rows of an item";
  EXPECT_EQ(t.keys % matrix_keys, 0);
  if (t.producer_registers > 0) {
    EXPECT_EQ(t.keys, 128);
    EXPECT_EQ((3 * 168 - t.producer_registers) / 2 % 8, 0) << "registers are given in eights";
    EXPECT_LE(t.producer_registers + 2 * ((3 * 168 - t.producer_registers) / 2), 3 * 168);
    EXPECT_LE(t.ring_keys / t.keys, 4) << "words for arrivals";
  } else {
    EXPECT_EQ(t.keys * 8 % threads, 0) << "whole rounds of rows";
    EXPECT_EQ(t.few_keys * 8 % threads, 0);
    EXPECT_EQ(t.few_keys % (matrix_keys * t.num_warps), 0) << "whole matrix steps of each warp";
  }
  for (const int keys : {t.keys, t.few_keys}) {
    if (keys > 0) {
      EXPECT_GE(t.ring_keys / keys, 2);
    }
  }
}

// The kernel without edges copies and stores aligned pieces of 16 bytes only.
TEST(AttentionTiles, RowsThatAreNotWholePiecesTakeTheRaggedKernel) {
  alignas(16) char rows[32];
  AttentionParams aligned{};
  aligned.q = aligned.o = rows;
  aligned.q_token_stride = aligned.o_token_stride = 4096;
  aligned.head_dim_qk = aligned.head_dim_vo = 128;
  aligned.has_many = 1;
  aligned.sm_scale = 1;
  const auto name_of = [](const AttentionParams& p, DType dtype = DType::kBF16) {
    const AttentionVariant variant{dtype, dtype, plain_kv(dtype), {p.head_dim_qk, p.head_dim_vo}};
    const auto rules = cuda_rules(90);
    const KernelVariant compiled = compiled_variant(variant, *rules);
    return make_kernel({compiled, form_of(compiled, &p)}, *rules).name;
  };
  EXPECT_EQ(name_of(aligned), "attention_many_bf16_d128");
  AttentionParams q_inside = aligned, o_inside = aligned, q_gap = aligned, o_gap = aligned, other_head = aligned;
  q_inside.q = rows + 2;
  o_inside.o = rows + 8;
  q_gap.q_token_stride = o_gap.o_token_stride = 4100;
  other_head.head_dim_vo = 125;
  for (const AttentionParams& p : {q_inside, o_inside, q_gap, o_gap, other_head}) EXPECT_EQ(name_of(p), "attention_many_bf16_d128_ragged");
  EXPECT_EQ(name_of(q_gap, DType::kF32), "attention_many_f32_d128") << "4 elements of f32 are a piece";
  other_head.head_dim_vo = 120;
  EXPECT_EQ(name_of(other_head), "attention_many_bf16_d128_120") << "whole chunks have a kernel of their own";
  EXPECT_EQ(name_of(other_head, DType::kF32), "attention_many_f32_d128_ragged");
  other_head.head_dim_qk = 77;
  other_head.head_dim_vo = 80;
  EXPECT_EQ(name_of(other_head), "attention_many_bf16_d80_ragged");
}

TEST(AttentionTiles, LegalOnesFitAndTheHeuristicsAreFirst) {
  int num_tiles = 0;
  for_each_class([&](const AttentionClass& c, int sm) {
    const std::vector<AttentionTiles> tiles = legal_tiles_of(c, sm);
    ASSERT_FALSE(tiles.empty());
    EXPECT_EQ(tiles.front(), heuristic_config(c, sm).tiles);
    for (std::size_t i = 0; i < tiles.size(); ++i) {
      const AttentionTiles& t = tiles[i];
      SCOPED_TRACE(to_string(c) + " on sm_" + std::to_string(sm) + ": " + to_string(t));
      EXPECT_EQ(why_illegal_tiles(c, t, sm), "");
      EXPECT_EQ(std::count(tiles.begin(), tiles.end(), t), 1);
      expect_compilable(c, t);
      const int of_multiprocessor = sm == 80 ? 164 << 10 : sm == 90 || sm == 100 ? 228 << 10 : 100 << 10;
      EXPECT_LE(t.blocks_per_sm * (tiles_bytes(c, t) + 1024), of_multiprocessor);
      ++num_tiles;
    }
  });
  EXPECT_GT(num_tiles, 1000);
}

TEST(AttentionTiles, WarpgroupsAreForSixteenBitsOnHopper) {
  for_each_class([](const AttentionClass& c, int sm) {
    const std::vector<AttentionTiles> tiles = legal_tiles_of(c, sm);
    const bool has_producer = std::any_of(tiles.begin(), tiles.end(), [](const AttentionTiles& t) { return t.producer_registers > 0; });
    EXPECT_EQ(has_producer, sm == 90 && c.dtype != DType::kF32 && c.head_dim <= 128) << to_string(c) << " on sm_" << sm;
  });
}

void expect_illegal(const AttentionTiles& t, int sm, const std::string& words, DType dtype = DType::kBF16) {
  const std::string reason = why_illegal_tiles({dtype, 128, BatchKind::kPrefill}, t, sm);
  EXPECT_NE(reason.find(words), std::string::npos) << to_string(t) << " on sm_" << sm << ": \"" << reason << "\" lacks \"" << words << "\"";
}

TEST(AttentionTiles, IllegalOnesAreRefusedWithNumbers) {
  expect_illegal({8, 128, 128, 384, 1, 40}, 80, "sm_80");
  expect_illegal({8, 128, 128, 384, 1, 40}, 90, "not sm_90, f32", DType::kF32);
  expect_illegal({4, 128, 128, 384, 1, 40}, 90, "8 warps compute, not 4");
  expect_illegal({8, 64, 128, 384, 1, 40}, 90, "not 64 and 128");
  expect_illegal({8, 128, 128, 384, 1, 48}, 90, "not 48");
  expect_illegal({8, 128, 128, 384, 2, 40}, 90, "not 2");
  expect_illegal({8, 128, 128, 512, 1, 40}, 90, "bytes of shared memory");
  expect_illegal({8, 128, 128, 640, 1, 40}, 90, "a ring of 640 keys");
  expect_illegal({8, 128, 128, 300, 1, 40}, 90, "a ring of 300 keys");
  expect_illegal({0, 0, 0, 0, 0, 0}, 80, "not 0");
  expect_illegal({3, 64, 64, 192, 1, 0}, 80, "not 3");
  expect_illegal({4, 40, 64, 192, 1, 0}, 80, "40 keys");
  expect_illegal({4, 64, 0, 192, 1, 0}, 80, "few_keys is 0");
  expect_illegal({4, 32, 32, 96, 1, 0}, 80, "32 keys of few rows");
  expect_illegal({4, 64, 64, 64, 1, 0}, 80, "a ring of 64 keys");
  expect_illegal({4, 64, 64, 192, 3, 0}, 80, "not 3");
  expect_illegal({4, 128, 128, 512, 1, 0}, 80, "bytes of shared memory, of which sm_80 has 166912");
  expect_illegal({4, 96, 192, 384, 1, 0}, 80, "do not divide 4096");
  expect_illegal({1 << 30, 1 << 30, 1 << 30, 1 << 30, 1, 0}, 80, "4 or 8 warps");
}

TEST(AttentionTiles, KernelsAreMadeOfThem) {
  const auto rules = cuda_rules(90);
  for (const KernelInstance& instance : all_instances(*rules)) {
    const auto problem = attention_class(instance);
    if (!problem) continue;
    for (const AttentionTiles& t : legal_tiles_of(*problem, 90)) {
      const JitKernel k = make_kernel(instance, *rules, &t);
      EXPECT_EQ(k.shape.shared_bytes, tiles_bytes(*problem, t));
      EXPECT_EQ(k.shape.threads, 32 * t.num_warps + (t.producer_registers > 0 ? 128 : 0));
      EXPECT_NE(std::find(k.shape.options.begin(), k.shape.options.end(), "-DQUIRE_RING_KEYS=" + std::to_string(t.ring_keys)), k.shape.options.end());
    }
    EXPECT_EQ(make_kernel(instance, *rules).source, make_kernel(instance, *rules, &legal_tiles_of(*problem, 90).front()).source);
  }
}

TEST(AttentionTiles, ShippedTablesAreLegalOnTheirChips) {
  ASSERT_FALSE(embedded_tuned_tables().empty());
  for (const NamedText& text : embedded_tuned_tables()) {
    SCOPED_TRACE(text.name);
    const TunedTable table = parse_tuned_table(text.text, text.name);
    EXPECT_EQ(table.chip.target, "cuda");
    EXPECT_TRUE(std::string(text.name).ends_with(tuned_table_path("", table.chip).string())) << "the file's name is that of its chip";
    ASSERT_EQ(table.chip.architecture, "sm_90a") << "of another chip: add its family here";
    TuningStore configs({[](const AttentionClass& c) { return heuristic_config(c, 90); },
                              [](const AttentionClass& c, const AttentionTuning& config) { return why_illegal_tiles(c, config.tiles, 90); }});
    configs.read_tables(table.chip, "", {&text, 1});
    ASSERT_FALSE(table.entries.empty());
    for (const TunedEntry& e : table.entries) {
      EXPECT_EQ(configs.source_of(e.problem), "shipped table");
      EXPECT_EQ(configs.of(e.problem), e.config);
    }
  }
}

}  // namespace
}  // namespace quire
