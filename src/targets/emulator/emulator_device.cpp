#include "targets/emulator/emulator_device.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"
#include "kernels/params.h"
#include "targets/cuda/chips.h"
#include "targets/cuda/cuda_layout.h"
#include "targets/jit/host_api.h"
#include "targets/jit/jit_device.h"

namespace quire {
namespace {

// Of any kernel's params.
constexpr std::size_t most_params_bytes() {
  std::size_t most = 0;
  for (const KernelFacts& facts : kKernelFacts) most = std::max<std::size_t>(most, facts.params_bytes);
  return most;
}

// Kernels were compiled when Quire was built: nothing is left to do.
class BuiltIn : public RuntimeCompiler {
 public:
  std::string name() const override { return "host compiler"; }
  std::string version() const override { return ""; }
  std::vector<std::string> options_for(const std::string&) const override { return {}; }
  CompiledKernel compile(const std::string& name, const std::string&, std::span<const std::string>,
                         std::span<const NamedText>) const override {
    return {name, "", ""};
  }
};

class EmulatorApi : public HostApi {
 public:
  EmulatorApi(const EmulatorOptions& options, std::vector<EmulatedKernel> own)
      : HostApi({"emulator", "lanes as fibers on this processor", options.num_programs}),
        options_(options),
        own_(std::move(own)),
        blocks_(static_cast<std::size_t>(options.num_programs)),
        params_(allocate(most_params_bytes())) {}
  ~EmulatorApi() override { release(params_); }
  EmulatorApi(const EmulatorApi&) = delete;
  EmulatorApi& operator=(const EmulatorApi&) = delete;

  GpuCode load(const JitKernel& kernel, const CompiledKernel&, const std::string&) override {
    for (const std::span<const EmulatedKernel> kernels : {std::span(own_), emulated_kernels()}) {
      for (const EmulatedKernel& k : kernels) {
        if (k.sm != options_.sm || kernel.name != k.name) continue;
        auto* found = const_cast<EmulatedKernel*>(&k);
        return {reinterpret_cast<GpuModule*>(found), reinterpret_cast<GpuFunction*>(found)};
      }
    }
    throw_error(ErrorKind::kUnsupported, "this build has no kernel {} for emulated sm_{}", kernel.name,
                options_.sm);
  }
  void unload(const GpuCode&) override {}

 private:
  // A thread for each block but the first. All end before the first error is thrown on.
  void run(const JitKernel& kernel, const GpuCode& code, int num_wanted, const void* params,
           int* counters) override {
    const EmulatedEntry entry = reinterpret_cast<const EmulatedKernel*>(code.function)->entry;
    const int num_blocks = std::min(num_wanted, options_.num_programs);  // which share the work of any number
    std::memcpy(params_, params, kernel.params_bytes);
    ++num_launches_;
    GlobalWrites writes(num_blocks);
    std::vector<std::exception_ptr> errors(static_cast<std::size_t>(num_blocks));
    const auto run_block = [&](int idx) {
      const auto i = static_cast<std::size_t>(idx);
      const BlockShape shape{kernel.shape.threads,
                             static_cast<std::size_t>(kernel.shape.shared_bytes),
                             idx,
                             num_blocks,
                             options_.order,
                             options_.seed + num_launches_ * 31 + i};
      try {
        blocks_[i].run(shape, {&buffers(), num_blocks > 1 ? &writes : nullptr},
                       [&] { entry(params_, counters); });
      } catch (...) {
        errors[i] = std::current_exception();
      }
      writes.leave(idx);
    };
    {
      std::vector<std::jthread> threads;
      for (int i = 1; i < num_blocks; ++i) threads.emplace_back(run_block, i);
      run_block(0);
    }
    for (const std::exception_ptr& error : errors) {
      if (error == nullptr) continue;
      if (counters != nullptr) std::fill_n(counters, 2, 0);  // as they are between launches
      try {
        std::rethrow_exception(error);
      } catch (const Error& e) {
        throw_error(e.kind(), "kernel {}: {}", kernel.name, e.what());
      }
    }
  }

  const EmulatorOptions options_;
  const std::vector<EmulatedKernel> own_;
  std::vector<Block> blocks_;
  std::byte* const params_;
  std::uint64_t num_launches_ = 0;
};

std::string chip_names() {
  std::set<int> chips;
  for (const EmulatedKernel& k : emulated_kernels()) chips.insert(k.sm);
  std::string names;
  for (const int sm : chips)
    names += fmt::format("{}sm_{}{}", names.empty() ? "" : ", ", sm, sm == 90 ? "a" : "");
  return names;
}

}  // namespace

EmulatorOptions parse_emulator_architecture(const std::string& text) {
  EmulatorOptions options;
  const std::size_t slash = text.find('/');
  if (!text.empty()) options.sm = sm_of(text.substr(0, slash));
  const std::string order = slash == std::string::npos ? "forward" : text.substr(slash + 1);
  QUIRE_CHECK(order == "forward" || order == "reversed" || order == "shuffled",
              "lanes run in order forward, reversed or shuffled, not \"{}\"", order);
  if (order == "reversed") options.order = LaneOrder::kReversed;
  if (order == "shuffled") options.order = LaneOrder::kShuffled;
  return options;
}

std::unique_ptr<Device> open_emulator(const EmulatorOptions& options, std::vector<EmulatedKernel> kernels) {
  auto device =
      std::make_unique<JitDevice>(JitParts{.api = std::make_shared<EmulatorApi>(options, std::move(kernels)),
                                           .compiler = {std::make_shared<BuiltIn>(), {}, ""},
                                           .rules = cuda_rules(options.sm, kEmulatedHeads),
                                           .architecture = fmt::format("sm_{}", options.sm),
                                           .page_layout = cuda_page_layout,
                                           .weight_layout = cuda_weight_layout,
                                           .tuned_tables = {},
                                           .tables_dir = "",
                                           .spilled_bytes = {},
                                           .open_vendor = {},
                                           .dot_error = kMatrixUnitError,
                                           .max_programs = options.num_programs,
                                           .is_emulated = true});
  if (!options.tiles) return device;
  const auto rules = cuda_rules(options.sm, kEmulatedHeads);
  for (const AttentionClass& problem : all_attention_classes()) {
    if (!rules->why_illegal(problem, *options.tiles).empty()) continue;
    device->use_config(problem, {*options.tiles, rules->heuristics(problem).split_policy});
  }
  return device;
}

void register_emulator_target(TargetRegistry& registry) {
  TargetEntry entry;
  entry.name = "emulator";
  entry.why_absent = [](const DeviceOptions& options) -> std::string {
    if (emulated_kernels().empty()) return "this build leaves it out (QUIRE_EMULATOR)";
    const EmulatorOptions asked = parse_emulator_architecture(options.architecture);
    const auto built = emulated_kernels();
    const bool has_chip =
        std::any_of(built.begin(), built.end(), [&](const EmulatedKernel& k) { return k.sm == asked.sm; });
    return has_chip ? ""
                    : fmt::format("no kernels for {}; this build has them for: {}", options.architecture,
                                  chip_names());
  };
  entry.open = [](const DeviceOptions& options) {
    return open_emulator(parse_emulator_architecture(options.architecture));
  };
  entry.levels = [](const DeviceOptions&) {
    return std::vector<std::string>{"chips: " + chip_names() + " (--device emulator:sm_80)"};
  };
  entry.takes_architecture = true;
  registry.add(std::move(entry));
}

}  // namespace quire
