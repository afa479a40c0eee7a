// What the cuda target does before a GPU comes into play: the text inside the program, keys, architectures,
// reasons.
#include "targets/jit/kernel_compiler.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include "unit/error_message.h"
#include "device/device.h"
#include "targets/cuda/chips.h"
#include "targets/cuda/driver.h"
#include "targets/cuda/nvrtc.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(EmbeddedTextTest, EqualsTheFiles) {
  std::set<std::string> names;
  for (const NamedText& text : embedded_kernel_text()) {
    EXPECT_EQ(text.text, read(fs::path(QUIRE_SOURCE_DIR) / "src" / text.name)) << text.name;
    EXPECT_EQ(text.text.data()[text.text.size()], '\0') << text.name;
    names.insert(text.name);
  }
  std::set<std::string> wanted;
  for (const char* folder : {"kernels", "tile", "tile/lanes", "targets/cuda/tile"}) {
    for (const auto& file : fs::directory_iterator(fs::path(QUIRE_SOURCE_DIR) / "src" / folder)) {
      if (file.is_regular_file()) wanted.insert(folder + ("/" + file.path().filename().string()));
    }
  }
  EXPECT_EQ(names, wanted);
}

TEST(ArchitectureTest, IsTheNewestOfTheChipsOwnMajorVersion) {
  const int chips[] = {75, 80, 86, 87, 89, 90, 100, 103, 120};
  EXPECT_EQ(architecture_of(80, chips), "sm_80");
  EXPECT_EQ(architecture_of(86, chips), "sm_86");
  EXPECT_EQ(architecture_of(88, chips), "sm_87");
  EXPECT_EQ(architecture_of(90, chips), "sm_90a");
  EXPECT_EQ(architecture_of(103, chips), "sm_103");
  EXPECT_EQ(architecture_of(121, chips), "sm_120");
  EXPECT_NE(message_of([&] { architecture_of(75, chips); }, ErrorKind::kUnsupported).find("7.5"),
            std::string::npos);
  EXPECT_NE(message_of([&] { architecture_of(110, chips); }, ErrorKind::kUnsupported).find("11.0"),
            std::string::npos);
}

TEST(ArchitectureTest, FamilyAndName) {
  EXPECT_EQ(kernel_family(80), 80);
  EXPECT_EQ(kernel_family(87), 86);
  EXPECT_EQ(kernel_family(103), 100);
  EXPECT_EQ(kernel_family(121), 120);
  EXPECT_EQ(sm_of("sm_90a"), 90);
  EXPECT_EQ(sm_of("sm_120"), 120);
  for (const char* bad : {"", "90", "sm_", "sm_9", "sm_90b", "sm_90aa", "sm_1000", "gfx942", "sm_x90"}) {
    message_of([&] { sm_of(bad); }, ErrorKind::kInvalidArgument);
  }
}

TEST(DriverTest, ItsAbsenceIsAReason) {
  const std::string names[] = {"libcuda.so.1"};
  try {
    DynamicLibrary::open(names);
    GTEST_SKIP() << "this machine has an NVIDIA driver";
  } catch (const Error&) {
  }
  EXPECT_TRUE(message_of([] { Driver::open(); }, ErrorKind::kUnsupported)
                  .starts_with("libcuda.so.1 not found: no NVIDIA driver on this machine"));
}

TEST(NvrtcTest, ItsAbsenceIsAReason) {
  const std::string reason = message_of([] { Nvrtc("/nowhere/libnvrtc.so"); }, ErrorKind::kUnsupported);
  EXPECT_NE(reason.find("nvidia-cuda-nvrtc"), std::string::npos) << reason;
  EXPECT_NE(reason.find("/nowhere/libnvrtc.so"), std::string::npos) << reason;
}

// The rest needs the compiler.
class CompilerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "quire-compiler-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    options_.settings = {{"cuda.nvrtc", QUIRE_NVRTC}};
    options_.cache_dir = root_ / "cache";
    try {
      compiler_.emplace(make_cuda_compiler(options_));
    } catch (const Error& e) {
      GTEST_SKIP() << e.what();
    }
  }
  void TearDown() override { fs::remove_all(root_); }

  static JitKernel kernel(const std::string& name, const std::string& statement) {
    JitKernel made;
    made.name = name;
    made.source = "extern \"C\" __global__ void quire_entry(int* p) { " + statement + " }";
    return made;
  }

  fs::path root_;
  DeviceOptions options_;
  std::optional<KernelCompiler> compiler_;
};

TEST_F(CompilerTest, CompilesOnceAndThenReads) {
  const JitKernel kernels[] = {kernel("one", "*p = 1;"), kernel("two", "*p = 2;"),
                                kernel("three", "*p = 3;")};
  int num_from_disk = 0, num_reports = 0;
  const auto report = [&](const CompiledKernel&, bool is_from_disk) {
    num_from_disk += is_from_disk, ++num_reports;
  };
  const auto first = compiler_->get(kernels, "sm_80", report);
  EXPECT_EQ(num_reports, 3);
  EXPECT_EQ(num_from_disk, 0);
  const auto second = compiler_->get(kernels, "sm_80", report);
  EXPECT_EQ(num_from_disk, 3);
  ASSERT_EQ(second.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(first[i].binary, second[i].binary);
    EXPECT_TRUE(
        first[i].binary.starts_with("\x7f"
                                    "ELF"));
    EXPECT_EQ(first[i].name, kernels[i].name + "_sm_80");
    EXPECT_NE(first[i].log.find("registers"), std::string::npos) << first[i].log;
  }
  compiler_->get(kernels, "sm_90a", report);
  EXPECT_EQ(num_from_disk, 3);
  EXPECT_EQ(compiler_->cache().list().size(), 6u);
}

TEST_F(CompilerTest, ADamagedFileIsCompiledAnew) {
  const JitKernel one[] = {kernel("one", "*p = 1;")};
  const auto first = compiler_->get(one, "sm_80");
  fs::resize_file(compiler_->cache().list().at(0).path, 200);
  bool was_from_disk = true;
  const auto second = compiler_->get(
      one, "sm_80", [&](const CompiledKernel&, bool is_from_disk) { was_from_disk = is_from_disk; });
  EXPECT_FALSE(was_from_disk);
  EXPECT_EQ(first[0].binary, second[0].binary);
  EXPECT_TRUE(compiler_->cache().list().at(0).is_valid);
}

TEST_F(CompilerTest, TheKeyKnowsAllThatTheCodeDependsOn) {
  const JitKernel one = kernel("one", "*p = 1;");
  std::set<JitKey> keys = {compiler_->key_of(one, "sm_80"), compiler_->key_of(one, "sm_90a")};
  keys.insert(compiler_->key_of(kernel("one", "*p = 2;"), "sm_80"));
  JitKernel defined = one;
  defined.shape.options = {"-DA=1"};
  keys.insert(compiler_->key_of(defined, "sm_80"));
  EXPECT_EQ(keys.size(), 4u);
  EXPECT_TRUE(keys.contains(make_cuda_compiler(options_).key_of(one, "sm_80")));
  DeviceOptions lanes = options_;
  lanes.settings["cuda.lane_arrivals"] = "true";  // as a flag of the command line says it
  EXPECT_FALSE(keys.contains(make_cuda_compiler(lanes).key_of(one, "sm_80")));
}

TEST_F(CompilerTest, AnErrorCarriesTheLog) {
  const JitKernel kernels[] = {kernel("good", "*p = 1;"), kernel("bad", "*p = undeclared_name;")};
  const std::string message = message_of([&] { compiler_->get(kernels, "sm_80"); }, ErrorKind::kInternal);
  for (const char* word :
       {"bad_sm_80", "undeclared_name", "--gpu-architecture=sm_80", "NVRTC_ERROR_COMPILATION"}) {
    EXPECT_NE(message.find(word), std::string::npos) << word << " in " << message;
  }
  EXPECT_EQ(compiler_->cache().list().size(), 1u);
}

TEST_F(CompilerTest, OneThatFailsDoesNotStopTheOthers) {
  const JitKernel kernels[] = {kernel("bad", "*p = undeclared_name;"), kernel("good", "*p = 1;")};
  const auto outcomes = compiler_->try_get(kernels, "sm_80");
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_NE(outcomes[0].error, nullptr);
  EXPECT_EQ(outcomes[1].error, nullptr);
  EXPECT_EQ(spilled_bytes(outcomes[1].kernel.log), 0);
}

TEST(SpilledBytes, AreStoresAndLoads) {
  EXPECT_EQ(spilled_bytes("ptxas info : x\n    8 bytes stack frame, 12 bytes spill stores, 30 bytes spill loads\n"), 42);
  message_of([] { spilled_bytes("Used 12 registers"); }, ErrorKind::kInternal);
}

TEST_F(CompilerTest, FindsTheEmbeddedHeaders) {
  JitKernel params = kernel("params", "*p = sizeof(quire::AttentionParams);");
  params.source = "#include \"kernels/params.h\"\n#include \"tile/views.h\"\n" + params.source;
  EXPECT_NO_THROW(compiler_->get({&params, 1}, "sm_80"));
}

TEST_F(CompilerTest, AFullDiskIsNotAnError) {
  std::ofstream(root_ / "file").put('x');
  DeviceOptions options = options_;
  options.cache_dir = root_ / "file/cache";
  KernelCompiler compiler = make_cuda_compiler(options);
  const JitKernel one[] = {kernel("one", "*p = 1;")};
  EXPECT_EQ(compiler.get(one, "sm_80").size(), 1u);
  EXPECT_NE(compiler.store_failure(), "");
}

}  // namespace
}  // namespace quire
