// The oracle on examples small enough for pencil and paper, and the backend that is made of it.
#include "attention/reference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "device/registry.h"
#include "targets/cpu/cpu_device.h"

namespace quire {
namespace {

AttentionDesc tiny_desc() {
  AttentionDesc d;
  d.num_qo_heads = d.num_kv_heads = d.head_dim_qk = d.head_dim_vo = 1;
  d.sm_scale = 1;
  d.dtype = DType::kF32;
  return d;
}

// One head of size 1: q is 1, so that scores are the keys.
ReferenceRequest tiny_request(int query_len, const std::vector<double>& scores,
                              const std::vector<double>& values) {
  return {query_len, static_cast<int>(scores.size()), [](int, int, int) { return 1.0; },
          [scores](int key, int, int) { return scores.at(static_cast<std::size_t>(key)); },
          [values](int key, int, int) { return values.at(static_cast<std::size_t>(key)); }};
}

TEST(Reference, SinkExample) {
  AttentionDesc d = tiny_desc();
  const ReferenceRequest r = tiny_request(1, {1, 2, 0.5}, {1, 2, 3});
  const ReferenceResult without = reference_attention(d, r, {}, {});
  EXPECT_NEAR(without.o[0], 1.909020, 5e-7);
  EXPECT_NEAR(without.lse[0], 2.464369, 5e-7);
  d.has_sinks = true;
  const ReferenceResult with = reference_attention(d, r, {}, {1.5});
  EXPECT_NEAR(with.o[0], 1.382123, 5e-7);
  EXPECT_NEAR(with.lse[0], 2.787339, 5e-7);
  EXPECT_NEAR(with.o[0], without.o[0] / (1 + std::exp(1.5 - without.lse[0])), 1e-12);
  const ReferenceResult f32 = f32_attention(d, r, {}, {1.5}, DType::kF32);
  EXPECT_NEAR(f32.o[0], with.o[0], 1e-6);
  EXPECT_NE(f32.o[0], with.o[0]);
}

// With equal scores, o is the mean of the visible values and the LSE the logarithm of their number.
ReferenceResult of_equal_scores(const AttentionDesc& d, int query_len, int kv_len) {
  std::vector<double> values;
  for (int k = 0; k < kv_len; ++k) values.push_back(k);
  return reference_attention(d, tiny_request(query_len, std::vector<double>(values.size()), values), {}, {});
}

TEST(Reference, CausalIsAlignedToTheEnd) {
  const ReferenceResult r = of_equal_scores(tiny_desc(), 3, 10);  // positions 7, 8, 9
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(std::exp(r.lse[static_cast<std::size_t>(i)]), 8 + i, 1e-12);
    EXPECT_NEAR(r.o[static_cast<std::size_t>(i)], (7 + i) / 2.0, 1e-12);
  }
}

TEST(Reference, WindowHoldsWKeysAndIsSymmetricIfNotCausal) {
  AttentionDesc d = tiny_desc();
  d.window = 4;
  ReferenceResult r = of_equal_scores(d, 1, 10);  // keys 6, 7, 8, 9
  EXPECT_NEAR(std::exp(r.lse[0]), 4, 1e-12);
  EXPECT_NEAR(r.o[0], 7.5, 1e-12);
  d.causal = false;
  r = of_equal_scores(d, 10, 10);
  EXPECT_NEAR(std::exp(r.lse[0]), 4, 1e-12);  // 0 … 3
  EXPECT_NEAR(std::exp(r.lse[5]), 7, 1e-12);  // 2 … 8
  EXPECT_NEAR(r.o[5], 5, 1e-12);
}

TEST(Reference, RowsWithoutKeysAreZero) {
  AttentionDesc d = tiny_desc();
  d.causal = false;
  ReferenceResult r = of_equal_scores(d, 2, 0);
  EXPECT_EQ(r.o, (std::vector<double>{0, 0}));
  EXPECT_EQ(r.lse, (std::vector<double>{-INFINITY, -INFINITY}));
  d.has_sinks = true;
  r = reference_attention(d, tiny_request(1, {}, {}), {}, {0.25});
  EXPECT_EQ(r.o[0], 0);
  EXPECT_EQ(r.lse[0], 0.25);
}

TEST(Reference, CapComesBeforeBiasAndBiasCountsFromThePosition) {
  AttentionDesc d = tiny_desc();
  d.sm_scale = 0.5f;
  d.logits_soft_cap = 2;
  d.position_bias = PositionBias::kAlibi;
  const ReferenceRequest r = tiny_request(1, {1000, 3}, {1, 0});
  const double first = 2 * std::tanh(500.0 / 2) - 0.75, second = 2 * std::tanh(1.5 / 2);
  EXPECT_NEAR(reference_attention(d, r, {0.75}, {}).lse[0], std::log(std::exp(first) + std::exp(second)),
              1e-12);
  d.position_bias = PositionBias::kAlibiSqrt;
  d.logits_soft_cap = 0;
  const ReferenceRequest far = tiny_request(1, {0, 0, 0, 0, 0}, {1, 0, 0, 0, 0});
  const double den =
      std::exp(-2.0) + std::exp(-std::sqrt(3.0)) + std::exp(-std::sqrt(2.0)) + std::exp(-1.0) + 1;
  EXPECT_NEAR(reference_attention(d, far, {1}, {}).o[0], std::exp(-2.0) / den, 1e-12);
}

TEST(Reference, AlibiSqrtIsFlatToTheRight) {
  AttentionDesc d = tiny_desc();
  d.causal = false;
  d.position_bias = PositionBias::kAlibiSqrt;
  const ReferenceResult r = reference_attention(d, tiny_request(3, {0, 0, 0}, {0, 0, 1}), {1}, {});
  EXPECT_NEAR(r.o[0], 1.0 / 3, 1e-12);
}

TEST(Reference, InvisibleKeysAreNeverAskedFor) {
  AttentionDesc d = tiny_desc();
  d.window = 3;
  ReferenceRequest r = tiny_request(2, std::vector<double>(10), {});
  const auto visible = [](int key, int, int) {
    EXPECT_GE(key, 6);  // the first token's position is 8
    return 1.0;
  };
  r.k = r.v = visible;
  reference_attention(d, r, {}, {});
}

TEST(Reference, QueryHeadsShareTheHeadOfTheirGroup) {
  AttentionDesc d = tiny_desc();
  d.num_qo_heads = 6;
  d.num_kv_heads = 2;
  ReferenceRequest r = tiny_request(1, {0}, {});
  r.v = [](int, int kv_head, int) { return kv_head + 10.0; };
  EXPECT_EQ(reference_attention(d, r, {}, {}).o, (std::vector<double>{10, 10, 10, 11, 11, 11}));
}

TEST(ReferenceBackend, ReadsPagesThroughTheIndexMaps) {
  TargetRegistry registry;
  register_cpu_target(registry);
  const auto device = registry.open("cpu");
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    AttentionDesc d = tiny_desc();
    d.dtype = dtype;
    d.page_size = 2;
    const auto put = [&](std::vector<float> values) {
      auto buffer = device->allocate(64);
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (dtype == DType::kF32) buffer->as<float>()[i] = values[i];
        if (dtype == DType::kF16) buffer->as<std::uint16_t>()[i] = f32_to_f16(values[i]);
        if (dtype == DType::kBF16) buffer->as<std::uint16_t>()[i] = f32_to_bf16(values[i]);
      }
      return buffer;
    };
    // Keys 1, 2, 0.5 and values 1, 2, 3 in pages 2 and 0 of three; each page is K K V V.
    const auto pool = put({0.5, NAN, 3, NAN, NAN, NAN, NAN, NAN, 1, 2, 1, 2});
    const auto q = put({1}), o = put({NAN});
    const std::int32_t table[] = {2, 0, -1};
    const float sink = 1.5f;
    float lse = 0;
    d.has_sinks = true;
    const BackendChoice choice = choose_backend("reference", d, *device);
    const auto op = choice.backend->make(*device, d);
    const std::int32_t query_len = 1, kv_len = 3;
    op->plan({{&query_len, 1}, {&kv_len, 1}});
    AttentionTensors t;
    t.q = q->data();
    t.o = o->data();
    t.lse = &lse;
    t.kv_pool = pool->data();
    t.page_table = table;
    t.max_pages = 3;
    t.sinks = &sink;
    op->run(t);
    EXPECT_NEAR(lse, 2.787339, 1e-6);
    const float got = dtype == DType::kF32   ? *o->as<float>()
                      : dtype == DType::kF16 ? f16_to_f32(*o->as<std::uint16_t>())
                                             : bf16_to_f32(*o->as<std::uint16_t>());
    EXPECT_NEAR(got, 1.382123, dtype == DType::kF32 ? 1e-6 : dtype == DType::kF16 ? 1e-3 : 6e-3);
    t.sinks = nullptr;
    EXPECT_THROW(op->run(t), Error);
    const std::int32_t too_long = 4;
    EXPECT_THROW(op->plan({{&too_long, 1}, {&kv_len, 1}}), Error);
  }
}

}  // namespace
}  // namespace quire
