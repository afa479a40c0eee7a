// Attention on a CUDA stream that the test made, as an embedder's: launched there, and recorded there into a
// graph of the test's. Needs a GPU; tests/unit/targets/cuda_device_test.cpp has the same on an imitated
// driver, without results.
#include <gtest/gtest.h>

#include "attention_problem.h"
#include "quire/attention.h"
#include "targets/all/linked_targets.h"
#include "targets/cuda/driver.h"

namespace quire {
namespace {

class CallersStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    DeviceOptions options;
    options.settings = {{"cuda.nvrtc", QUIRE_NVRTC}};
    try {
      allocator_ = linked_targets().open("cuda", options);
    } catch (const Error& e) {
      ASSERT_EQ(e.kind(), ErrorKind::kUnsupported) << e.what();
      GTEST_SKIP() << e.what();
    }
    driver_ = Driver::open();
    check(call().device_get(&device_, 0), "get GPU 0");
    CuContextHandle* context = nullptr;
    check(call().device_primary_ctx_retain(&context, device_), "open a context");
    check(call().ctx_set_current(context), "make it current");
    check(call().stream_create(&stream_, 0), "create a stream");
    attention_device_.emplace(
        ComputeDevice::open({.target = "cuda", .stream = stream_, .nvrtc_path = QUIRE_NVRTC}));
    spec_.num_qo_heads = 8;
    spec_.num_kv_heads = 2;
    spec_.head_dim_qk = 128;
  }
  void TearDown() override {
    if (stream_ == nullptr) return;
    attention_device_.reset();
    check(call().stream_synchronize(stream_), "find the stream alive");
    check(call().stream_destroy(stream_), "destroy the stream");
    check(call().device_primary_ctx_release(device_), "release the context");
  }

  const CudaFunctions& call() const { return driver_->call(); }
  void check(int result, const char* attempt) const { driver_->check(result, "{}", attempt); }

  std::shared_ptr<const Driver> driver_;
  std::unique_ptr<Device> allocator_;
  int device_ = 0;
  CuStreamHandle* stream_ = nullptr;
  std::optional<ComputeDevice> attention_device_;
  AttentionSpec spec_;
};

TEST_F(CallersStreamTest, IsWhereThingsRun) {
  EXPECT_EQ(attention_device_->memory_kind(), DeviceKind::kCuda);
  AttentionProblem problem(*attention_device_, *allocator_, spec_, {{5, 1, 17}, {133, 700, 17}});
  problem.attention().write_kv(problem.write_args());
  problem.attention().plan(problem.batch().query_lens, problem.batch().kv_lens);
  problem.attention().run(problem.args());
  check(call().stream_synchronize(stream_), "wait for the stream alone");
  EXPECT_LT(problem.error_of_o(), 3e-2);
  EXPECT_LT(problem.error_of_lse(), 3e-2);
}

// Recorded under one plan, the graph serves another.
TEST_F(CallersStreamTest, IsRecordedIntoTheCallersGraph) {
  AttentionProblem problem(*attention_device_, *allocator_, spec_, {{1, 1, 1}, {90, 300, 17}});
  problem.write();
  Attention& attention = problem.attention();
  attention.reserve(3);
  attention.plan(std::vector<std::int32_t>{1, 1, 0}, std::vector<std::int32_t>{90, 2, 0});
  attention.prepare(problem.args());
  const std::uint64_t id = attention.recording_id();
  CuGraphHandle* graph = nullptr;
  CuGraphExecHandle* exec = nullptr;
  check(call().stream_begin_capture(stream_, kCuCaptureRelaxed), "begin a capture");
  attention.run(problem.args());
  check(call().stream_end_capture(stream_, &graph), "end the capture");
  check(call().graph_instantiate(&exec, graph, 0), "make a graph");
  attention.plan(problem.batch().query_lens, problem.batch().kv_lens);
  EXPECT_EQ(attention.recording_id(), id);
  check(call().graph_launch(exec, stream_), "launch the graph");
  check(call().stream_synchronize(stream_), "wait for it");
  EXPECT_LT(problem.error_of_o(), 3e-2);
  check(call().graph_exec_destroy(exec), "destroy the graph");
  check(call().graph_destroy(graph), "destroy what it was made of");
}

}  // namespace
}  // namespace quire
