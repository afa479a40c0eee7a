// What the public attention interface refuses: before anything is launched, in words that carry the numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "attention_problem.h"
#include "quire/attention.h"
#include "targets/all/linked_targets.h"
#include "unit/error_message.h"

namespace quire {
namespace {

AttentionSpec spec_of_heads() {
  AttentionSpec spec;
  spec.num_qo_heads = 4;
  spec.num_kv_heads = 2;
  spec.head_dim_qk = 64;
  spec.type = ElementType::kF32;
  return spec;
}

class AttentionRefusalsTest : public testing::Test {
 protected:
  AttentionRefusalsTest()
      : allocator_(linked_targets().open("cpu")),
        problem_(device_, *allocator_, spec_of_heads(), {{1, 6}, {40, 6}}) {
    problem_.write();
    problem_.attention().plan(problem_.batch().query_lens, problem_.batch().kv_lens);
  }

  std::string refused(const std::function<void(AttentionArgs&)>& change) {
    AttentionArgs args = problem_.args();
    change(args);
    const std::string message =
        message_of([&] { problem_.attention().run(args); }, ErrorKind::kInvalidArgument);
    EXPECT_TRUE(std::isnan(problem_.error_of_o())) << "something was launched";
    return message;
  }
  std::string refused_write(const std::function<void(KvWriteArgs&)>& change) {
    KvWriteArgs args = problem_.write_args();
    change(args);
    return message_of([&] { problem_.attention().write_kv(args); }, ErrorKind::kInvalidArgument);
  }
  std::string refused_spec(const std::function<void(AttentionSpec&)>& change) {
    AttentionSpec spec = spec_of_heads();
    change(spec);
    return message_of([&] { Attention(device_, spec); }, ErrorKind::kInvalidArgument);
  }

  const ComputeDevice device_ = ComputeDevice::open();
  const std::unique_ptr<Device> allocator_;
  AttentionProblem problem_;
};

TEST_F(AttentionRefusalsTest, Shapes) {
  EXPECT_EQ(refused([](AttentionArgs& a) { a.q.shape[2] = 32; }),
            "q must be f32 [num_tokens >= 7, num_qo_heads = 4, head_dim_qk = 64], got f32 [7, 4, 32] strides "
            "[256, 64, 1] on "
            "host 0");
  EXPECT_NE(refused([](AttentionArgs& a) { a.q.shape[0] = 6; }).find("[num_tokens >= 7, "),
            std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) {
              a.o.shape[1] = 5;
            }).find("o must be f32 [num_tokens >= 7, num_qo_heads = 4"),
            std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.lse.num_dims = 1; }).find("lse must be f32"), std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.kv_pool.shape[1] += 1; }).find("page_elems = "),
            std::string::npos);
  EXPECT_NE(
      refused([](AttentionArgs& a) { a.page_table.shape[1] = 2; }).find("max_pages >= 3], got i32 [2, 2]"),
      std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.page_table.shape[0] = 1; }).find("num_seqs >= 2"),
            std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.q = {}; }).find("q is missing: f32 [num_tokens >= 7"),
            std::string::npos);
}

TEST_F(AttentionRefusalsTest, Types) {
  EXPECT_NE(refused([](AttentionArgs& a) { a.q.type = ElementType::kBF16; }).find("got bf16 [7, 4, 64]"),
            std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.page_table.type = ElementType::kI64; }).find("must be i32"),
            std::string::npos);
  EXPECT_NE(refused_write([](KvWriteArgs& a) { a.slots.type = ElementType::kI32; }).find("slots must be i64"),
            std::string::npos);
}

TEST_F(AttentionRefusalsTest, Strides) {
  EXPECT_EQ(refused([](AttentionArgs& a) { a.q.strides[1] = 128; }),
            "q: the elements of a row must lie together, dimension 1 needs stride 64, got f32 [7, 4, 64] "
            "strides [256, 128, 1] "
            "on host 0");
  EXPECT_NE(refused([](AttentionArgs& a) { a.q.strides[2] = 2; }).find("dimension 2 needs stride 1"),
            std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) {
              a.o.strides[0] = 255;
            }).find("o: dimension 0 needs a stride of at least 256"),
            std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.q.strides[0] = 0; }).find("at least 256"), std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.q.strides[0] = INT64_MAX; }).find("9223372036854775807"),
            std::string::npos);
  EXPECT_NE(
      refused([](AttentionArgs& a) { a.lse.strides[0] = 5; }).find("lse: dimension 0 needs a stride of 4"),
      std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.kv_pool.strides[0] *= 2; }).find("kv_pool: dimension 0"),
            std::string::npos);
}

TEST_F(AttentionRefusalsTest, Memory) {
  EXPECT_EQ(refused([](AttentionArgs& a) { a.o.device = DeviceKind::kCuda; }),
            "o must be on host 0, got f32 [7, 4, 64] strides [256, 64, 1] on cuda 0");
  EXPECT_NE(refused([](AttentionArgs& a) {
              a.q.device_idx = 1;
            }).find("got f32 [7, 4, 64] strides [256, 64, 1] on host 1"),
            std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) { a.q.data = nullptr; }).find("q has no memory"), std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) {
              a.kv_pool.data = static_cast<char*>(a.kv_pool.data) + 4;
            }).find("kv_pool must begin at a multiple of 16 bytes"),
            std::string::npos);
  EXPECT_NE(refused([](AttentionArgs& a) {
              a.q.data = static_cast<char*>(a.q.data) + 1;
            }).find("a multiple of 4 bytes"),
            std::string::npos);
}

TEST_F(AttentionRefusalsTest, PagesAndSlotsThatAreNotThere) {
  const auto message =
      refused([](AttentionArgs& a) { static_cast<std::int32_t*>(a.page_table.data)[1] = 99; });
  EXPECT_EQ(message, "page_table: request 0 has page 99 at entry 1, the pool has pages 0 to 4");
  const auto negative =
      refused([](AttentionArgs& a) { static_cast<std::int32_t*>(a.page_table.data)[1] = -1; });
  EXPECT_NE(negative.find("page -1"), std::string::npos) << negative;
  EXPECT_EQ(refused_write([](KvWriteArgs& a) { static_cast<std::int64_t*>(a.slots.data)[3] = 80; }),
            "slots: token 3 has slot 80, the pool has 80");
}

TEST_F(AttentionRefusalsTest, WhatTheSpecDoesNotAskFor) {
  EXPECT_NE(
      refused([](AttentionArgs& a) { a.sinks = a.lse; }).find("sinks is given, but the spec asks for none"),
      std::string::npos);
  AttentionSpec spec = spec_of_heads();
  spec.alibi = AlibiKind::kLinear;
  Attention attention(device_, spec);
  attention.plan(problem_.batch().query_lens, problem_.batch().kv_lens);
  EXPECT_EQ(message_of([&] { attention.run(problem_.args()); }, ErrorKind::kInvalidArgument),
            "alibi_slopes is missing: f32 [num_qo_heads = 4]");
}

TEST_F(AttentionRefusalsTest, Specs) {
  EXPECT_NE(refused_spec([](AttentionSpec& s) {
              s.num_kv_heads = 3;
            }).find("num_qo_heads must be a multiple of num_kv_heads (3), got 4"),
            std::string::npos);
  EXPECT_NE(refused_spec([](AttentionSpec& s) { s.head_dim_qk = 0; }).find("head_dim_qk must be 1 to"),
            std::string::npos);
  EXPECT_NE(refused_spec([](AttentionSpec& s) { s.head_dim_vo = -1; }).find("head_dim_vo must be 1 to"),
            std::string::npos);
  EXPECT_NE(
      refused_spec([](AttentionSpec& s) { s.type = ElementType::kI32; }).find("f32, f16 or bf16, got i32"),
      std::string::npos);
  EXPECT_NE(refused_spec([](AttentionSpec& s) { s.scale = NAN; }).find("finite"), std::string::npos);
  EXPECT_NE(
      refused_spec([](AttentionSpec& s) { s.alibi = static_cast<AlibiKind>(7); }).find("ALiBi of kind 7"),
      std::string::npos);
  EXPECT_NE(message_of([&] { Attention(device_, spec_of_heads(), "fast"); }, ErrorKind::kNotFound)
                .find("unified, reference"),
            std::string::npos);
}

TEST_F(AttentionRefusalsTest, PlansThatCannotBe) {
  Attention attention(device_, spec_of_heads());
  EXPECT_EQ(message_of([&] { attention.run(problem_.args()); }, ErrorKind::kInvalidArgument),
            "run() comes after plan(), which has not been called");
  const std::vector<std::int32_t> one{1}, two{1, 2}, none{0};
  EXPECT_NE(message_of([&] { attention.plan(two, one); }, ErrorKind::kInvalidArgument)
                .find("2 query lengths but 1"),
            std::string::npos);
  EXPECT_NE(
      message_of([&] { attention.plan(one, none); }, ErrorKind::kInvalidArgument).find("request 0: kv_len 0"),
      std::string::npos);
  message_of([&] { attention.run(problem_.args()); },
             ErrorKind::kInvalidArgument);  // a plan that failed is none
}

TEST(ComputeDeviceTest, Refusals) {
  EXPECT_NE(message_of([] { ComputeDevice::open({.target = "abacus"}); }, ErrorKind::kNotFound).find("cpu"),
            std::string::npos);
  try {
    ComputeDevice::open({.target = "emulator:sm_90a"});
    ADD_FAILURE() << "the emulator knows no memory but its own";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
  }
  int stream = 0;
  EXPECT_NE(message_of([&] { ComputeDevice::open({.stream = &stream}); }, ErrorKind::kInvalidArgument)
                .find("target cpu has no streams"),
            std::string::npos);
  EXPECT_NE(message_of([] { ComputeDevice::open({.num_threads = -1}); }, ErrorKind::kInvalidArgument)
                .find("cpu.threads"),
            std::string::npos);
}

}  // namespace
}  // namespace quire
