// The opcodes that the compile gate counts are those of the instructions that they are said to be: a kernel
// with N of them has N more than the same kernel without. And: what is no cubin is refused.
#include "cubin.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/error.h"
#include "targets/cuda/nvrtc.h"

namespace quire {
namespace {

class CubinTest : public testing::Test {
 protected:
  void SetUp() override {
    try {
      nvrtc_.emplace(QUIRE_NVRTC);
    } catch (const Error& e) {
      GTEST_SKIP() << e.what();
    }
  }

  CompiledKernel compile(const std::string& body, const std::string& architecture) const {
    const std::string options[] = {"--gpu-architecture=" + architecture, "--std=c++17", "--ptxas-options=-v"};
    return nvrtc_->compile(
        "probe", "extern \"C\" __global__ void probe(float* out, const char* in) {\n" + body + "\n}\n",
        options, {});
  }
  int count(const std::string& body, const std::string& architecture, unsigned opcode) const {
    return count_opcodes(compile(body, architecture).binary, "probe")[opcode];
  }

  std::optional<Nvrtc> nvrtc_;
};

constexpr const char* kMmaSetup = R"(
  unsigned a = threadIdx.x; float c[4] = {0, 0, 0, 0};)";
constexpr const char* kMma = R"(
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%4,%4,%4},{%4,%4},{%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a));)";
constexpr const char* kMmaEnd = R"(
  out[threadIdx.x] = c[0] + c[1] + c[2] + c[3];)";
constexpr const char* kCopySetup = R"(
  __shared__ __align__(128) char buffer[4096];
  unsigned to = (unsigned)__cvta_generic_to_shared(buffer) + threadIdx.x * 16, r[4] = {};)";
constexpr const char* kCopy = R"(
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(to), "l"(in + threadIdx.x * 16) : "memory");)";
constexpr const char* kLoadMatrix = R"(
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(to));
  to += 512;
  out[threadIdx.x] += r[0] + r[1] + r[2] + r[3];)";
constexpr const char* kCopyEnd = R"(
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
  out[threadIdx.x] += buffer[threadIdx.x];)";

TEST_F(CubinTest, CountsWhatTheSourceSays) {
  for (const char* architecture : {"sm_80", "sm_89", "sm_90a", "sm_100", "sm_120"}) {
    const std::string setup = kMmaSetup, mma = kMma, copies = kCopySetup, copy = kCopy, load = kLoadMatrix;
    EXPECT_EQ(count(setup + kMmaEnd, architecture, kHmma), 0) << architecture;
    EXPECT_EQ(count(setup + mma + kMmaEnd, architecture, kHmma), 1) << architecture;
    EXPECT_EQ(count(setup + mma + mma + mma + kMmaEnd, architecture, kHmma), 3) << architecture;
    EXPECT_EQ(count(copies + kCopyEnd, architecture, kLdgsts), 0) << architecture;
    EXPECT_EQ(count(copies + copy + copy + kCopyEnd, architecture, kLdgsts), 2) << architecture;
    EXPECT_EQ(count(copies + copy + kCopyEnd, architecture, kLdsm), 0) << architecture;
    EXPECT_EQ(count(copies + load + load + kCopyEnd, architecture, kLdsm), 2) << architecture;
  }
}

TEST_F(CubinTest, CountsBulkCopiesAndWarpgroupProducts) {
  const std::string setup = R"(
  __shared__ __align__(1024) char buffer[32768];
  __shared__ unsigned long long barrier;
  unsigned to = (unsigned)__cvta_generic_to_shared(buffer), at = (unsigned)__cvta_generic_to_shared(&barrier);
  float c[4] = {0, 0, 0, 0}; unsigned long long desc = in[0];)";
  const std::string copy = R"(
  if (threadIdx.x == 0)
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 1024, [%2];"
                 :: "r"(to), "l"(in), "r"(at) : "memory");)";
  const std::string product = R"(
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, %4, %4, 1, 1, 1, 0, 0;"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "l"(desc));
  asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory");)";
  const std::string end = "\n  out[threadIdx.x] = c[0] + c[1] + c[2] + c[3] + buffer[threadIdx.x];";
  EXPECT_EQ(count(setup + end, "sm_90a", kUblkcp), 0);
  EXPECT_EQ(count(setup + copy + end, "sm_90a", kUblkcp), 1);
  EXPECT_EQ(count(setup + end, "sm_90a", kHgmma), 0);
  EXPECT_EQ(count(setup + product + product + end, "sm_90a", kHgmma), 2);
}

TEST_F(CubinTest, ResourcesAreThoseOfTheLog) {
  const KernelResources small = parse_resources(compile("out[0] = 1;", "sm_80").log);
  EXPECT_GT(small.num_registers, 0);
  EXPECT_LT(small.num_registers, 32);
  EXPECT_EQ(small.spill_store_bytes + small.spill_load_bytes, 0);
  // 200 values that live across a barrier do not fit 64 registers.
  const std::string body =
      "float x[200];\n#pragma unroll\nfor (int i = 0; i < 200; ++i) x[i] = out[i * 37];\n__syncthreads();\n"
      "#pragma unroll\nfor (int i = 0; i < 200; ++i) out[i * 41] = x[i] * x[199 - i];";
  const std::string options[] = {"--gpu-architecture=sm_80", "--ptxas-options=-v", "--maxrregcount=64"};
  const CompiledKernel large = nvrtc_->compile(
      "large", "extern \"C\" __global__ void large(volatile float* out) {\n" + body + "\n}\n", options, {});
  EXPECT_GT(parse_resources(large.log).spill_store_bytes, 0) << large.log;
}

TEST_F(CubinTest, WhatIsNoCubinIsRefused) {
  const std::string cubin = compile("out[0] = 1;", "sm_80").binary;
  EXPECT_GT(count_opcodes(cubin, "probe").size(), 2u);
  EXPECT_THROW(count_opcodes(cubin, "other"), Error);
  EXPECT_THROW(count_opcodes("not a file", "probe"), Error);
  for (std::size_t bytes = 0; bytes < cubin.size(); bytes += 97) {
    try {
      count_opcodes(std::string_view(cubin).substr(0, bytes), "probe");
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kCorruptFile);
    }
  }
}

}  // namespace
}  // namespace quire
