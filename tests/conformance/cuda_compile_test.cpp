// The compile gate: kernels become machine code for every supported chip, without a GPU. Which kernels is a setting of
// the build (QUIRE_GATE_KERNELS): all take 5 minutes a chip on two cores. A kernel uses matrix instructions and asynchronous copies where it
// should, spills nothing and fits its registers and shared memory.
#include <gtest/gtest.h>

#include <cstdio>
#include <optional>
#include <regex>

#include "base/error.h"
#include "cubin.h"
#include "device/device.h"
#include "targets/cuda/attention_tiles.h"
#include "targets/cuda/chips.h"
#include "targets/cuda/nvrtc.h"
#include "targets/jit/kernel_forms.h"

namespace quire {
namespace {

constexpr int kRegistersPerSm = 65536, kRegisterUnit = 8;
constexpr int kReservedSharedBytes = 1024;  // by the system, of each block

struct Chip {
  const char* architecture;
  int sm;
  int shared_bytes;  // of one multiprocessor (CUDA programming guide, technical specifications)
};
constexpr Chip kChips[] = {{"sm_80", 80, 164 << 10},
                           {"sm_89", 89, 100 << 10},
                           {"sm_90a", 90, 228 << 10},
                           {"sm_100", 100, 228 << 10},
                           {"sm_120", 120, 100 << 10}};

std::ostream& operator<<(std::ostream& out, const Chip& chip) { return out << chip.architecture; }

class CudaCompileTest : public testing::TestWithParam<Chip> {
 protected:
  void SetUp() override {
    DeviceOptions options;
    options.settings = {{"cuda.nvrtc", QUIRE_NVRTC}};
    options.cache_dir = QUIRE_GATE_CACHE;  // what has not changed is not compiled again
    try {
      compiler_.emplace(make_cuda_compiler(options));
    } catch (const Error& e) {
      GTEST_SKIP() << e.what();
    }
  }

  std::optional<KernelCompiler> compiler_;
};

// Kernels with products of 16-bit elements; f32 has no matrix instruction of its precision.
bool is_matrix_kernel(const std::string& name) {
  return (name.starts_with("attention") || name.starts_with("linear")) &&
         name.find("f16") != std::string::npos;
}

void check_resources(const JitKernel& kernel, const CompiledKernel& compiled, const Chip& chip) {
  const KernelResources used = parse_resources(compiled.log);
  EXPECT_TRUE(used.spill_store_bytes == 0 && used.spill_load_bytes == 0)
      << "spills: " << used.spill_store_bytes << " bytes of stores, " << used.spill_load_bytes
      << " bytes of loads, at " << used.num_registers << " registers";
  EXPECT_EQ(compiled.log.find("serialized"), std::string::npos) << "the compiler waits for each product: " << compiled.log;
  const int rounded = (used.num_registers + kRegisterUnit - 1) / kRegisterUnit * kRegisterUnit;
  EXPECT_LE(rounded * kernel.shape.threads * kernel.shape.blocks_per_unit, kRegistersPerSm)
      << used.num_registers << " registers x " << kernel.shape.threads << " threads x " << kernel.shape.blocks_per_unit;
  EXPECT_LE((kernel.shape.shared_bytes + kReservedSharedBytes) * kernel.shape.blocks_per_unit, chip.shared_bytes);
}

void check_instructions(const JitKernel& kernel, const CompiledKernel& compiled) {
  std::map<unsigned, int> count = count_opcodes(compiled.binary, "quire_entry");
  EXPECT_FALSE(count.empty());
  if (!is_matrix_kernel(kernel.name)) return;
  EXPECT_GT(count[kHmma] + count[kHgmma], 0) << "no matrix instruction";
  EXPECT_GT(count[kLdgsts] + count[kUblkcp] + count[kUtmaldg], 0) << "no asynchronous copy";
}

TEST_P(CudaCompileTest, KernelsCompileWithinTheirBudgets) {
  const Chip chip = GetParam();
  std::vector<JitKernel> kernels;
  const std::regex wanted(QUIRE_GATE_KERNELS);
  const auto rules = cuda_rules(chip.sm);
  for (const KernelInstance& instance : all_instances(*rules)) {
    JitKernel kernel = make_kernel(instance, *rules);
    if (std::regex_match(kernel.name, wanted)) kernels.push_back(std::move(kernel));
  }
  ASSERT_FALSE(kernels.empty());
  const std::vector<CompiledKernel> compiled = compiler_->get(kernels, chip.architecture);
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    SCOPED_TRACE(compiled[i].name);
    check_resources(kernels[i], compiled[i], chip);
    check_instructions(kernels[i], compiled[i]);
  }
}

// Whatever a tuner may ask for is something that the compiler takes and the chip can start. Registers that go to memory are not
// forbidden here: the tuner drops the worst of such candidates itself.
TEST_P(CudaCompileTest, LegalTilesCompile) {
  const Chip chip = GetParam();
  const std::regex wanted(QUIRE_GATE_TILES);
  std::vector<JitKernel> kernels;
  std::vector<std::string> names;
  const auto rules = cuda_rules(chip.sm);
  for (const KernelInstance& instance : all_instances(*rules)) {
    const std::string kernel_name = make_kernel(instance, *rules).name;
    if (!attention_class(instance) || kernel_name.find("_ragged") != std::string::npos) continue;
    if (!std::regex_match(kernel_name + " " + chip.architecture, wanted)) continue;
    for (const AttentionTiles& t : legal_tiles_of(*attention_class(instance), chip.sm)) {
      kernels.push_back(make_kernel(instance, *rules, &t));
      names.push_back(kernel_name + ", " + to_string(t));
    }
  }
  if (kernels.empty()) GTEST_SKIP() << "none are wanted for " << chip.architecture;
  const auto outcomes = compiler_->try_get(kernels, chip.architecture);
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    SCOPED_TRACE(names[i]);
    ASSERT_EQ(outcomes[i].error, nullptr);
    const KernelResources used = parse_resources(outcomes[i].kernel.log);
    const int rounded = (used.num_registers + kRegisterUnit - 1) / kRegisterUnit * kRegisterUnit, spilled = spilled_bytes(outcomes[i].kernel.log);
    EXPECT_LE(rounded * kernels[i].shape.threads * kernels[i].shape.blocks_per_unit, kRegistersPerSm);
    EXPECT_LE((kernels[i].shape.shared_bytes + kReservedSharedBytes) * kernels[i].shape.blocks_per_unit, chip.shared_bytes);
    EXPECT_EQ(spilled, used.spill_store_bytes + used.spill_load_bytes);
    if (spilled > 0) std::printf("%s: %d bytes of registers in memory\n", names[i].c_str(), spilled);
  }
}

INSTANTIATE_TEST_SUITE_P(Chips, CudaCompileTest, testing::ValuesIn(kChips),
                         [](const auto& chip) { return std::string(chip.param.architecture); });

}  // namespace
}  // namespace quire
