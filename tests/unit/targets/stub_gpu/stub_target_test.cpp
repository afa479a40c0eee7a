// What a new GPU target has to bring: the files of this folder, and a line each in two lists of the build and
// in linked_targets().
#include "stub_target.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "attention/attention.h"
#include "base/error.h"
#include "kernels/params.h"

namespace quire {
namespace {

AttentionDesc small_desc() {
  AttentionDesc d;
  d.num_qo_heads = 8;
  d.num_kv_heads = 2;
  d.head_dim_qk = d.head_dim_vo = 64;
  d.sm_scale = default_sm_scale(64);
  return d;
}

class StubTarget : public testing::Test {
 protected:
  StubTarget() {
    std::string pattern = (std::filesystem::temp_directory_path() / "quire-stub-XXXXXX").string();
    options_.cache_dir = ::mkdtemp(pattern.data());
    stub::register_stub_target(targets_);
    stub::diary().launches.clear();
    device_ = targets_.open("stub", options_);
  }
  ~StubTarget() override {
    op_.reset();
    device_.reset();
    EXPECT_EQ(stub::diary().num_loaded, 0);
    EXPECT_EQ(stub::diary().num_buffers, 0);
    std::filesystem::remove_all(options_.cache_dir);
  }

  // Plans and launches decodes of these lengths.
  void decode(const std::vector<std::int32_t>& kv_len) {
    if (op_ == nullptr)
      op_ = choose_backend("unified", small_desc(), *device_).backend->make(*device_, small_desc());
    const std::vector<std::int32_t> query_len(kv_len.size(), 1);
    op_->plan({query_len, kv_len});
    run();
  }
  void run() {
    AttentionTensors t;
    t.max_pages = 1;
    op_->run(t);
  }

  TargetRegistry targets_;
  DeviceOptions options_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<AttentionOp> op_;
};

TEST_F(StubTarget, AttentionRunsOnIt) {
  EXPECT_EQ(device_->caps().target, "stub");
  decode({100, 2000});
  ASSERT_EQ(stub::diary().launches.size(), 1u);
  EXPECT_EQ(stub::diary().launches[0].kernel, "attention_few_bf16_d64");
  EXPECT_EQ(stub::diary().launches[0].threads, 4 * 64) << "waves of 64 lanes";
  EXPECT_LE(stub::diary().launches[0].num_blocks, 20) << "10 units of 2 blocks";
  decode({100, 2000});
  EXPECT_EQ(stub::diary().num_loaded, 1) << "a kernel is loaded once";
}

TEST_F(StubTarget, ItsKernelsAreKeptOnDisk) {
  decode({10});
  const int num_compiled = stub::diary().num_compiled;
  const auto second = targets_.open("stub", options_);
  const auto op = choose_backend("unified", small_desc(), *second).backend->make(*second, small_desc());
  const std::int32_t one[] = {1}, ten[] = {10};
  op->plan({one, ten});
  AttentionTensors t;
  t.max_pages = 1;
  second->prepare([&] { op->run(t); });
  EXPECT_EQ(stub::diary().num_compiled, num_compiled);
}

// A soft cap and a bias by distance are compiled into one kernel: two variants, one piece of code.
TEST_F(StubTarget, VariantsOfTheSameCodeShareIt) {
  AttentionVariant capped = variant_of(small_desc()), biased = capped;
  capped.mods = kModSoftCap;
  biased.mods = kModBias;
  EXPECT_NE(device_->resolve(capped).idx, device_->resolve(biased).idx);
  AttentionParams params{};
  params.has_few = 1;
  params.head_dim_qk = params.head_dim_vo = 64;
  device_->run(capped, params, 1);
  device_->run(biased, params, 1);
  EXPECT_EQ(stub::diary().num_loaded, 1);
}

TEST_F(StubTarget, GraphsReplayAndTilesChange) {
  decode({100});
  op_->reserve(4);
  decode({100});
  const auto graph = device_->capture([&] { run(); });
  const std::size_t before = stub::diary().launches.size();
  graph->launch();
  EXPECT_EQ(stub::diary().launches.size(), before + 1);
  TunableAttention* tunable = device_->attention().tunable();
  ASSERT_NE(tunable, nullptr);
  const AttentionClass problem{DType::kBF16, 64, BatchKind::kDecode};
  const auto tiles = tunable->legal_tiles(problem);
  EXPECT_EQ(tunable->prepare_tiles(problem, tiles, [&] { run(); }), (std::vector<std::string>{"", ""}));
  tunable->use_config(problem, {tiles[1], {}});
  run();
  EXPECT_EQ(stub::diary().launches.back().threads, 8 * 64);
}

TEST_F(StubTarget, PagesLieAsItSays) {
  const KvLayout layout = kv_layout(*device_, small_desc());
  EXPECT_EQ(layout.k_index(1, 1, 3, 5), 1 * 2 * 2048 + 2048 + 3 * 64 + 5);
  const auto buffer = device_->allocate(64);
  const char text[] = "through the ring of pinned memory";
  device_->copy_to_device(buffer->data(), text, sizeof text);
  char back[sizeof text] = {};
  device_->copy_to_host(back, buffer->data(), sizeof text);
  EXPECT_STREQ(back, text);
}

// y = x W^T + bias of f32, by a device whose vendor has a library for it.
class StubLinear : public StubTarget {
 protected:
  static constexpr int kInDim = 10, kOutDim = 6, kStride = 12;

  void open(const std::string& library) {
    options_.settings["stub.lt"] = library;
    device_ = targets_.open("stub", options_);
  }
  LinearParams params_of(int num_rows) {
    for (Values* v : {&x_, &w_, &bias_, &y_})
      v->values.resize(static_cast<std::size_t>(num_rows + kOutDim) * kStride);
    for (std::size_t i = 0; i < x_.values.size(); ++i) {
      x_.values[i] = static_cast<float>(i % 7) - 3;
      w_.values[i] = static_cast<float>(i % 5) - 2;
      bias_.values[i] = static_cast<float>(i);
    }
    LinearParams p{};
    p.x = x_.values.data();
    p.weight = w_.values.data();
    p.bias = bias_.values.data();
    p.y = y_.values.data();
    p.x_stride = p.y_stride = kStride;
    p.num_rows = num_rows;
    p.in_dim = kInDim;
    p.out_dim = kOutDim;
    return p;
  }
  void run(const LinearParams& p) { device_->run(plain_linear(DType::kF32, DType::kF32), p, 1); }

  struct Values {
    std::vector<float> values;
  };
  Values x_, w_, bias_, y_;
};

TEST_F(StubLinear, AVendorsLibraryMultipliesManyRows) {
  open(QUIRE_IMITATED_LT);
  for (int repeat = 0; repeat < 2; ++repeat) {  // the second time with what was chosen the first time
    const LinearParams p = params_of(20);
    run(p);
    for (int row = 0; row < p.num_rows; ++row) {
      for (int col = 0; col < kOutDim; ++col) {
        float sum = bias_.values[static_cast<std::size_t>(col)];
        for (int k = 0; k < kInDim; ++k) {
          sum += x_.values[static_cast<std::size_t>(row * kStride + k)] *
                 w_.values[static_cast<std::size_t>(col * kStride + k)];
        }
        ASSERT_EQ(y_.values[static_cast<std::size_t>(row * kStride + col)], sum) << row << " " << col;
      }
    }
  }
  EXPECT_TRUE(stub::diary().launches.empty());
}

TEST_F(StubLinear, OwnKernelsServeWhatTheLibraryDoesNot) {
  open(QUIRE_IMITATED_LT);
  run(params_of(16));  // few rows
  run(params_of(33));  // it has no algorithm
  ASSERT_EQ(stub::diary().launches.size(), 2u);
  EXPECT_EQ(stub::diary().launches[0].kernel, "linear_few_f32");
  EXPECT_EQ(stub::diary().launches[1].kernel, "linear_many_f32");
  open("/nowhere/liblt.so");
  run(params_of(20));
  EXPECT_EQ(stub::diary().launches.size(), 3u);
}

TEST_F(StubLinear, ItsFailuresAreErrorsWithTheNumbers) {
  open(QUIRE_IMITATED_LT);
  try {
    run(params_of(34));
    FAIL() << "a product that fails";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInternal);
    EXPECT_STREQ(e.what(), "stubLt: cannot launch the product for [34, 10] x [6, 10]^T: status 2");
  }
}

}  // namespace
}  // namespace quire
