// The cuda target on an imitated driver: memory, order of copies, launches, graphs, errors. That kernels
// compute what they should is the self-test's matter, on a GPU or on the emulator.
#include "targets/cuda/cuda_device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <optional>

#include "unit/error_message.h"
#include "tuning/attention_target.h"
#include "imitated_driver.h"
#include "kernels/params.h"
#include "targets/cuda/attention_tiles.h"

namespace quire {
namespace {

class CudaDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    imitated::driver() = {};
    register_cuda_target(targets_);
    options_.settings = {{"cuda.nvrtc", QUIRE_NVRTC}};
    options_.cache_dir = QUIRE_GATE_CACHE;
    options_.own_kernels_only = true;
    const std::string reason = targets_.entries().front().why_absent(options_);
    if (reason.find("libnvrtc not found") != std::string::npos) GTEST_SKIP() << reason;
    ASSERT_EQ(reason, "");
    device_ = targets_.open("cuda", options_);
  }
  void TearDown() override {
    device_.reset();
    const imitated::Driver& left = imitated::driver();
    EXPECT_EQ(left.num_buffers + left.num_modules + left.num_streams + left.num_events + left.num_graphs +
                  left.num_contexts,
              0);
  }

  // A launch whose first param tells launches apart.
  void launch(long mark, int num_rows = 3) {
    EmbeddingParams params{};
    params.table = reinterpret_cast<const void*>(mark);
    params.num_rows = num_rows;
    params.dim = 64;
    device_->run(RowVariant{KernelName::kEmbedding, DType::kBF16}, params, num_rows, {100, 10});
  }
  static long mark_of(const imitated::Launch& launch) {
    long mark = 0;
    std::memcpy(&mark, launch.params_head.data(), sizeof mark);
    return mark;
  }
  static std::vector<long> marks() {
    std::vector<long> found;
    for (const imitated::Launch& launch : imitated::driver().launches) found.push_back(mark_of(launch));
    return found;
  }

  TargetRegistry targets_;
  DeviceOptions options_;
  std::unique_ptr<Device> device_;
};

TEST_F(CudaDeviceTest, SaysWhatItIs) {
  EXPECT_EQ(device_->caps().target, "cuda");
  EXPECT_EQ(device_->caps().architecture, "sm_90a");
  EXPECT_EQ(device_->caps().description, "Imitated GPU");
  EXPECT_EQ(device_->caps().num_programs % 4, 0);
  EXPECT_GT(device_->attention().caps({}).rows, 0);
  const auto lines = targets_.entries().front().levels(options_);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "0: Imitated GPU, compute capability 9.0, 4 SMs at 1.50 GHz, 0.1 GiB");
  EXPECT_TRUE(lines[1].starts_with("driver for CUDA 13.0, NVRTC ")) << lines[1];
}

TEST_F(CudaDeviceTest, ReasonsWhyNot) {
  const auto why_absent = targets_.entries().front().why_absent;
  DeviceOptions second = options_;
  second.device_idx = 1;
  EXPECT_NE(why_absent(second).find("device_idx must be 0 to 0"), std::string::npos) << why_absent(second);
  imitated::driver().sm = 75;
  EXPECT_EQ(why_absent(options_), "compute capability 7.5; the kernels need 8.0");
  imitated::driver().sm = 90;
  imitated::driver().failing_function = "cuInit";
  EXPECT_NE(why_absent(options_).find("does not start: CUDA_ERROR_ILLEGAL_ADDRESS"), std::string::npos)
      << why_absent(options_);
  imitated::driver().failing_function = "";
  imitated::driver().version = 11080;
  EXPECT_NE(why_absent(options_).find("nvrtc"), std::string::npos) << why_absent(options_);
}

TEST_F(CudaDeviceTest, MemoryThatIsNotThereIsAnErrorWithNumbers) {
  const std::string message = message_of([&] { device_->allocate(1u << 30); }, ErrorKind::kExhausted);
  for (const char* word : {"1073741824", "67108864", "CUDA_ERROR_OUT_OF_MEMORY"}) {
    EXPECT_NE(message.find(word), std::string::npos) << message;
  }
  EXPECT_EQ(device_->allocate(0)->data(), nullptr);
}

// The host's memory is reused at once, the stream runs late: each copy must still carry the bytes of its own
// time.
TEST_F(CudaDeviceTest, CopiesAreOrderedAndTakeTheHostsBytesAtOnce) {
  constexpr std::size_t kNumSteps = 40, kNumInts = 1000;
  const auto buffer = device_->allocate(kNumSteps * kNumInts * sizeof(int));
  const int waits_before = imitated::driver().num_stream_waits;
  std::vector<int> values(kNumInts);
  for (std::size_t step = 0; step < kNumSteps; ++step) {
    std::iota(values.begin(), values.end(), static_cast<int>(step));
    device_->copy_to_device(buffer->data() + step * kNumInts * sizeof(int), values.data(),
                            kNumInts * sizeof(int));
  }
  EXPECT_EQ(imitated::driver().num_stream_waits, waits_before)
      << "small copies wait for nothing but their place";
  std::vector<int> back(kNumSteps * kNumInts);
  device_->copy_to_host(back.data(), buffer->data(), back.size() * sizeof(int));
  for (std::size_t i = 0; i < back.size(); ++i)
    ASSERT_EQ(back[i], static_cast<int>(i / kNumInts + i % kNumInts)) << i;
}

TEST_F(CudaDeviceTest, LargeCopiesGoThroughInParts) {
  std::vector<int> values((12u << 20) / sizeof(int) + 77), back(values.size());
  std::iota(values.begin(), values.end(), 5);
  const auto buffer = device_->allocate(values.size() * sizeof(int));
  device_->copy_to_device(buffer->data(), values.data(), values.size() * sizeof(int));
  device_->copy_to_host(back.data(), buffer->data(), back.size() * sizeof(int));
  EXPECT_TRUE(values == back);
}

TEST_F(CudaDeviceTest, AHostCopyWaitsForWhatComesBeforeItAlone) {
  const auto buffer = device_->allocate(64);
  const auto copy = device_->make_host_copy(64);
  const int values[] = {3, 5, 7}, later[] = {9, 9, 9};
  const int waits_before = imitated::driver().num_stream_waits;
  device_->copy_to_device(buffer->data(), values, sizeof values);
  launch(1);
  copy->start(buffer->data(), sizeof values);
  device_->copy_to_device(buffer->data(), later, sizeof later);
  launch(2);
  const std::byte* arrived = copy->wait();
  EXPECT_EQ(std::memcmp(arrived, values, sizeof values), 0);
  EXPECT_EQ(marks(), std::vector<long>{1}) << "what comes behind it may still run";
  EXPECT_EQ(imitated::driver().num_stream_waits, waits_before);
  EXPECT_NE(message_of([&] { copy->start(buffer->data(), 65); }, ErrorKind::kInternal).find("65 bytes into 64"), std::string::npos);
}

TEST_F(CudaDeviceTest, SaysHowMuchMemoryIsFree) {
  const DeviceMemory before = device_->memory();
  EXPECT_FALSE(before.is_host);
  EXPECT_EQ(before.total_bytes, 64u << 20);
  const auto buffer = device_->allocate(1u << 20);
  EXPECT_EQ(device_->memory().free_bytes, before.free_bytes - (1u << 20));
}

TEST_F(CudaDeviceTest, LaunchesRunInOrder) {
  launch(7);
  launch(8, 0);  // no work, no launch
  launch(9, 5);
  EXPECT_EQ(marks(), std::vector<long>());
  device_->synchronize();
  EXPECT_EQ(marks(), (std::vector<long>{7, 9}));
  const imitated::Launch& last = imitated::driver().launches.back();
  EXPECT_EQ(last.grid, 5u);
  EXPECT_GE(last.threads, 32u);
  EXPECT_EQ(last.counters, nullptr) << "its items go round the programs";
  EXPECT_EQ(imitated::driver().num_modules, 1);
  EXPECT_EQ(device_->take_cost().bytes, 300);
  EXPECT_EQ(device_->take_cost().bytes, 0);
}

TEST_F(CudaDeviceTest, APersistentKernelHasAFixedGridAndCounters) {
  LinearParams params{};
  params.num_rows = 1;
  params.in_dim = 64;
  params.out_dim = 1 << 20;
  device_->run(plain_linear(DType::kBF16, DType::kBF16), params, 1);
  device_->synchronize();
  const imitated::Launch& launch = imitated::driver().launches.at(0);
  ASSERT_NE(launch.counters, nullptr);
  EXPECT_EQ(launch.grid % 4, 0u);
  EXPECT_LE(launch.grid, 4u * 32);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(static_cast<const int*>(launch.counters)[i], 0);
}

TEST_F(CudaDeviceTest, LaunchesOverlapWhereTheChipCan) {
  launch(7);
  device_->synchronize();
  EXPECT_EQ(imitated::driver().num_overlapping, 1);
  device_.reset();
  imitated::driver().sm = 80;
  device_ = targets_.open("cuda", options_);
  launch(8);
  device_->synchronize();
  EXPECT_EQ(imitated::driver().num_overlapping, 1);
  EXPECT_EQ(marks(), (std::vector<long>{7, 8}));
}

// The stream stays the caller's, and what it launched there may write what ours reads first: none starts
// early.
TEST_F(CudaDeviceTest, AStreamOfTheCallersIsLaunchedInto) {
  void* stream = nullptr;
  imitated::make_stream(&stream);
  device_.reset();
  options_.queue = stream;
  device_ = targets_.open("cuda", options_);
  EXPECT_EQ(imitated::driver().num_streams, 1);
  launch(5);
  EXPECT_EQ(imitated::driver().launches.size(), 0u);
  imitated::run_stream(stream);
  EXPECT_EQ(marks(), std::vector<long>{5});
  EXPECT_EQ(imitated::driver().num_overlapping, 0);
  device_.reset();
  EXPECT_EQ(imitated::driver().num_streams, 1) << "it is not ours to destroy";
  imitated::destroy_stream(stream);
}

TEST_F(CudaDeviceTest, AStreamOfAnotherGpuIsRefused) {
  void* stream = nullptr;
  imitated::make_stream(&stream);
  options_.queue = stream;
  imitated::driver().device_of_context = 41;
  const std::string message =
      message_of([&] { targets_.open("cuda", options_); }, ErrorKind::kInvalidArgument);
  EXPECT_NE(message.find("the driver's device 41) than device_idx 0 (its device 40)"), std::string::npos)
      << message;
  imitated::driver().failing_function = "cuStreamGetCtx";
  EXPECT_NE(message_of([&] { targets_.open("cuda", options_); }, ErrorKind::kInternal)
                .find("find the context of stream"),
            std::string::npos);
  imitated::destroy_stream(stream);
}

TEST_F(CudaDeviceTest, AGraphRepeatsItsLaunches) {
  launch(1);
  const auto graph = device_->capture([&] {
    launch(2);
    launch(3);
  });
  EXPECT_EQ(device_->take_cost().bytes, 100) << "what is recorded costs nothing yet";
  graph->launch();
  launch(4);
  graph->launch();
  device_->synchronize();
  EXPECT_EQ(marks(), (std::vector<long>{1, 2, 3, 4, 2, 3}));
  EXPECT_EQ(device_->take_cost().bytes, 500);
}

TEST_F(CudaDeviceTest, NothingButLaunchesIsRecorded) {
  const auto buffer = device_->allocate(64);
  char host[64] = {};
  const std::function<void()> forbidden[] = {[&] { device_->allocate(64); }, [&] { device_->synchronize(); },
                                             [&] { device_->copy_to_device(buffer->data(), host, 64); },
                                             [&] { device_->copy_to_host(host, buffer->data(), 64); }};
  for (const auto& call : forbidden) {
    const std::string message = message_of([&] { device_->capture(call); }, ErrorKind::kInternal);
    EXPECT_NE(message.find("while launches are recorded"), std::string::npos) << message;
    call();  // and outside of a recording it works, also after one has failed
  }
}

TEST_F(CudaDeviceTest, PreparingLoadsAndLaunchesNothing) {
  device_->prepare([&] {
    launch(1);
    launch(2);
  });
  device_->synchronize();
  EXPECT_EQ(marks(), std::vector<long>());
  EXPECT_EQ(imitated::driver().num_modules, 1);
  EXPECT_EQ(device_->take_cost().bytes, 0);
  launch(3);
  device_->synchronize();
  EXPECT_EQ(imitated::driver().num_modules, 1);
}

TEST_F(CudaDeviceTest, TimeIsTheDevices) {
  launch(1);
  EXPECT_EQ(device_->time_us([&] {
    launch(2);
    launch(3);
  }),
            2000);  // the imitation counts a millisecond a launch
}

TEST_F(CudaDeviceTest, ErrorsCarryTheDriversWords) {
  imitated::driver().failing_function = "cuLaunchKernel";
  const std::string launching = message_of([&] { launch(1, 3); }, ErrorKind::kInternal);
  for (const char* word : {"launch kernel embedding_bf16", "3 blocks", "CUDA_ERROR_ILLEGAL_ADDRESS",
                           "an illegal memory access was encountered"}) {
    EXPECT_NE(launching.find(word), std::string::npos) << launching;
  }
  imitated::driver().failing_function = "cuStreamSynchronize";
  const std::string waiting = message_of([&] { device_->synchronize(); }, ErrorKind::kInternal);
  EXPECT_NE(waiting.find("finish the launches on Imitated GPU"), std::string::npos) << waiting;
  imitated::driver().failing_function = "";
}

// A tuner changes tiles: later launches take them, graphs that were recorded before do not, and a kernel is loaded once.
TEST_F(CudaDeviceTest, ConfigurationsChangeForLaterLaunchesAlone) {
  TunableAttention* tunable = device_->attention().tunable();
  ASSERT_NE(tunable, nullptr);
  EXPECT_EQ(to_string(tunable->chip()), "Imitated GPU (cuda sm_90a, 4 units)");
  const AttentionClass problem{DType::kF32, 64, BatchKind::kDecode};
  const AttentionTuning first = tunable->heuristics(problem);
  AttentionTuning other = first;
  other.tiles.ring_keys = 2 * other.tiles.keys, other.split_policy.item_cost_tiles = 7;
  ASSERT_NE(other.tiles, first.tiles);
  AttentionParams params{};
  params.head_dim_qk = params.head_dim_vo = 64;
  params.sm_scale = 1;
  params.has_few = 1;
  const auto start = [&] { device_->run(AttentionVariant{DType::kF32, DType::kF32, plain_kv(DType::kF32), {64, 64}}, params, 3, {}); };
  const AttentionTiles both[] = {first.tiles, other.tiles};
  EXPECT_EQ(tunable->prepare_tiles(problem, both, start), (std::vector<std::string>{"", ""}));
  const int num_modules = imitated::driver().num_modules;
  const auto graph = device_->capture(start);
  start();
  tunable->use_config(problem, other);
  EXPECT_EQ(device_->attention().caps(problem).split_policy.item_cost_tiles, 7);
  EXPECT_EQ(device_->attention().caps({DType::kF32, 64, BatchKind::kMixed}).split_policy.item_cost_tiles, first.split_policy.item_cost_tiles);
  start();
  graph->launch();
  tunable->use_config(problem, first);
  start();
  device_->synchronize();
  std::vector<int> bytes;
  for (const imitated::Launch& launch : imitated::driver().launches) bytes.push_back(static_cast<int>(launch.shared_bytes));
  const int of_first = tiles_bytes(problem, first.tiles), of_other = tiles_bytes(problem, other.tiles);
  EXPECT_EQ(bytes, (std::vector<int>{of_first, of_other, of_first, of_first}));
  EXPECT_EQ(imitated::driver().num_modules, num_modules) << "both were loaded ahead";

  other.tiles.ring_keys = 1000;
  EXPECT_NE(message_of([&] { tunable->use_config(problem, other); }, ErrorKind::kInvalidArgument).find("a ring of 1000 keys"), std::string::npos);
  EXPECT_EQ(device_->attention().caps(problem).split_policy.item_cost_tiles, first.split_policy.item_cost_tiles);
}

}  // namespace
}  // namespace quire
