// The public attention interface on each target that runs here: every field of a spec does what it says, on
// memory that the caller brought.
#include "quire/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "attention_problem.h"
#include "facade/compute_device.h"
#include "targets/all/linked_targets.h"
#include "unit/error_message.h"

namespace quire {
namespace {

struct Feature {
  const char* name;
  void (*set)(AttentionSpec& spec);
};

constexpr Feature kFeatures[] = {
    {"plain", [](AttentionSpec&) {}},
    {"f16", [](AttentionSpec& s) { s.type = ElementType::kF16; }},
    {"f32", [](AttentionSpec& s) { s.type = ElementType::kF32; }},
    {"one_kv_head_each", [](AttentionSpec& s) { s.num_kv_heads = s.num_qo_heads; }},
    {"heads_apart", [](AttentionSpec& s) { s.head_dim_qk = 48, s.head_dim_vo = 80; }},
    {"odd_pages", [](AttentionSpec& s) { s.page_size = 7; }},
    {"scale", [](AttentionSpec& s) { s.scale = 0.3f; }},
    {"not_causal", [](AttentionSpec& s) { s.causal = false; }},
    {"window", [](AttentionSpec& s) { s.window = 9; }},
    {"window_both_ways", [](AttentionSpec& s) { s.window = 9, s.causal = false; }},
    {"soft_cap", [](AttentionSpec& s) { s.logits_soft_cap = 1.5f; }},
    {"alibi", [](AttentionSpec& s) { s.alibi = AlibiKind::kLinear; }},
    {"alibi_of_roots", [](AttentionSpec& s) { s.alibi = AlibiKind::kSquareRoot; }},
    {"sinks", [](AttentionSpec& s) { s.has_sinks = true; }},
    {"invariant", [](AttentionSpec& s) { s.batch_invariant = true; }},
};

AttentionSpec usual_spec() {
  AttentionSpec spec;
  spec.num_qo_heads = 4;
  spec.num_kv_heads = 2;
  spec.head_dim_qk = 64;
  return spec;
}

// A chunk, a decode, a prompt, padding.
Batch usual_batch() { return {{5, 1, 17, 0}, {33, 40, 17, 12}}; }

double bound_of(ElementType type) {
  return type == ElementType::kF32 ? 2e-5 : type == ElementType::kF16 ? 4e-3 : 3e-2;
}

class AttentionTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    try {
      DeviceOptions options;
      options.settings = {{"cuda.nvrtc", nvrtc_}};
      allocator_ = linked_targets().open(GetParam(), options);
      if (allocator_->caps().is_emulated) {  // it knows no memory but its own
        device_.emplace(face_of(std::move(allocator_), 0));
      } else {
        device_.emplace(ComputeDevice::open({.target = GetParam(), .nvrtc_path = nvrtc_}));
      }
    } catch (const Error& e) {
      ASSERT_EQ(e.kind(), ErrorKind::kUnsupported) << e.what();
      GTEST_SKIP() << e.what();
    }
  }

  Device& allocator() { return allocator_ != nullptr ? *allocator_ : *device_->impl().device; }

  const std::string nvrtc_ = QUIRE_NVRTC;
  std::optional<ComputeDevice> device_;
  std::unique_ptr<Device> allocator_;  // null: the device itself
};

TEST_P(AttentionTest, EveryFieldOfASpecDoesWhatItSays) {
  for (const Feature& feature : kFeatures) {
    AttentionSpec spec = usual_spec();
    feature.set(spec);
    try {
      choose_attention(*device_, spec, "unified");
    } catch (const Error& e) {  // such as f32 on a GPU
      ASSERT_EQ(e.kind(), ErrorKind::kUnsupported);
      continue;
    }
    AttentionProblem problem(*device_, allocator(), spec, usual_batch());
    EXPECT_EQ(problem.attention().choice().backend, "unified");
    problem.write();
    problem.run();
    EXPECT_LT(problem.error_of_o(), bound_of(spec.type)) << feature.name;
    EXPECT_LT(problem.error_of_lse(), bound_of(spec.type)) << feature.name;
    EXPECT_GT(problem.attention().cost().bytes, 0);
    EXPECT_GT(problem.attention().cost().flops, 0);
  }
}

TEST_P(AttentionTest, TheIndexMapsFindWhatWasWritten) {
  AttentionProblem problem(*device_, allocator(), usual_spec(), usual_batch());
  problem.write();
  const HostArray pool = problem.pool();
  for (const int key : {0, 15, 16, 32}) {
    for (const int dim : {0, 7, 63}) {
      const std::int64_t idx = problem.attention().k_index(problem.page_of(0, key), 1, key % 16, dim);
      EXPECT_EQ(pool[static_cast<std::size_t>(idx)], problem.k(0, key, 1, dim)) << key << " " << dim;
    }
  }
  EXPECT_EQ(problem.attention().page_bytes(), std::size_t(problem.attention().page_elems()) * 2);
  EXPECT_GE(problem.attention().page_bytes(), std::size_t{16 * 2 * (64 + 64) * 2});
}

TEST_P(AttentionTest, PreparedRunsGiveTheSame) {
  AttentionProblem problem(*device_, allocator(), usual_spec(), usual_batch());
  const AttentionArgs args = problem.args();
  problem.attention().plan(problem.batch().query_lens, problem.batch().kv_lens);
  problem.attention().prepare(args);
  problem.write();
  problem.run(args);
  EXPECT_LT(problem.error_of_o(), bound_of(ElementType::kBF16));
}

// A recording serves later plans under which its number stays the same.
TEST_P(AttentionTest, RoomThatWasReservedStays) {
  AttentionProblem problem(*device_, allocator(), usual_spec(), {{1, 1, 1}, {9, 30, 17}});
  problem.write();
  problem.attention().reserve(3);
  problem.attention().plan(std::vector<std::int32_t>{1, 0, 0}, std::vector<std::int32_t>{9, 0, 0});
  const std::uint64_t id = problem.attention().recording_id();
  EXPECT_NE(id, 0u);
  problem.run();
  EXPECT_EQ(problem.attention().recording_id(), id);
  EXPECT_LT(problem.error_of_o(), bound_of(ElementType::kBF16));
}

INSTANTIATE_TEST_SUITE_P(Targets, AttentionTest,
                         testing::Values("cpu", "emulator:sm_90a", "emulator:sm_80", "cuda"),
                         [](const auto& target) {
                           std::string name = target.param;
                           for (char& c : name) c = c == ':' ? '_' : c;
                           return name;
                         });

TEST(AttentionChoiceTest, SaysWhy) {
  const ComputeDevice device = ComputeDevice::open();
  EXPECT_EQ(device.memory_kind(), DeviceKind::kHost);
  EXPECT_TRUE(device.description().starts_with("cpu (")) << device.description();
  EXPECT_EQ(choose_attention(device, usual_spec()).reasons,
            std::vector<std::string>{"unified: chosen (first that can)"});
  const AttentionChoice asked = choose_attention(device, usual_spec(), "reference");
  EXPECT_EQ(asked.backend, "reference");
  EXPECT_EQ(asked.reasons.front(), "unified: not asked for");
}

TEST(AttentionReferenceTest, RunsBehindTheSameInterface) {
  const ComputeDevice device = ComputeDevice::open();
  const auto allocator = linked_targets().open("cpu");
  AttentionProblem problem(device, *allocator, usual_spec(), usual_batch());
  problem.write();
  Attention reference(device, usual_spec(), "reference");
  reference.plan(problem.batch().query_lens, problem.batch().kv_lens);
  reference.prepare(problem.args());
  EXPECT_TRUE(std::isnan(problem.error_of_o())) << "nothing is computed ahead";
  reference.run(problem.args());
  EXPECT_LT(problem.error_of_o(), bound_of(ElementType::kBF16));
  EXPECT_EQ(reference.recording_id(), 0u);
}

// Queries, keys and values as slices of one fused tensor.
TEST(AttentionStridesTest, TokensMayLieApart) {
  const ComputeDevice device = ComputeDevice::open();
  const auto allocator = linked_targets().open("cpu");
  AttentionSpec spec = usual_spec();
  spec.type = ElementType::kF32;
  AttentionProblem problem(device, *allocator, spec, {{6}, {6}});
  AttentionArgs args = problem.args();
  KvWriteArgs write = problem.write_args();
  std::vector<float> fused(6 * 8 * 64), spread_o(6 * 300, -1);
  const auto put = [&](Tensor& part, int first_head, int num_heads) {
    for (int token = 0; token < 6; ++token) {
      const float* from = static_cast<const float*>(part.data) + token * num_heads * 64;
      std::copy(from, from + num_heads * 64, fused.begin() + (token * 8 + first_head) * 64);
    }
    part.data = fused.data() + first_head * 64;
    part.strides[0] = 8 * 64;
  };
  put(args.q, 0, 4);
  put(write.k, 4, 2);
  put(write.v, 6, 2);
  float* o = static_cast<float*>(args.o.data);
  args.o.data = spread_o.data();
  args.o.strides[0] = 300;
  problem.attention().write_kv(write);
  problem.run(args);
  for (int token = 0; token < 6; ++token) {
    std::copy_n(spread_o.begin() + token * 300, 256, o + token * 256);
    EXPECT_EQ(spread_o[static_cast<std::size_t>(token * 300 + 256)], -1.0f)
        << "what lies between is left alone";
  }
  EXPECT_LT(problem.error_of_o(), bound_of(spec.type));
}

}  // namespace
}  // namespace quire
