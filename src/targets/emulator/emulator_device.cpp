#include "targets/emulator/emulator_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"
#include "kernels/params.h"
#include "targets/cuda/chips.h"
#include "targets/cuda/cuda_layout.h"
#include "targets/jit/jit_attention.h"
#include "targets/jit/kernel_forms.h"

namespace quire {
namespace {

// Memory that kernels may touch, as long as it lives.
class MappedBuffer : public Buffer {
 public:
  MappedBuffer(std::size_t bytes, std::shared_ptr<MemoryMap> map) : bytes_(bytes), map_(std::move(map)) {
    if (bytes == 0) return;
    void* p =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    QUIRE_CHECK_KIND(kExhausted, p != MAP_FAILED, "cannot allocate {} bytes of memory: {}", bytes,
                     std::strerror(errno));
    data_ = static_cast<std::byte*>(p);
    map_->add(data_, bytes);
  }
  ~MappedBuffer() override {
    if (data_ == nullptr) return;
    map_->remove(data_);
    ::munmap(data_, bytes_);
  }
  MappedBuffer(const MappedBuffer&) = delete;
  MappedBuffer& operator=(const MappedBuffer&) = delete;

  std::byte* data() const override { return data_; }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_;
  std::shared_ptr<MemoryMap> map_;
};

// Of any kernel's params.
constexpr std::size_t most_params_bytes() {
  std::size_t most = 0;
  for (const KernelFacts& facts : kKernelFacts) most = std::max<std::size_t>(most, facts.params_bytes);
  return most;
}

struct LaunchableKernel {
  JitKernel facts;
  EmulatedEntry entry = nullptr;  // null: not looked up yet
};

// What the chip's rules say, or the tiles that the options give to all attention kernels.
class EmulatorAttention : public JitAttention {
 public:
  EmulatorAttention(const TileRules& rules, const EmulatorOptions& options)
      : JitAttention(rules, options.num_programs, options.num_programs), tiles_(options.tiles) {}

 private:
  AttentionTuning tuning_of(const AttentionClass& problem) const override {
    AttentionTuning config = JitAttention::tuning_of(problem);
    if (tiles_) config.tiles = *tiles_;
    return config;
  }

  const std::optional<AttentionTiles> tiles_;
};

class EmulatorDevice : public Device {
 public:
  EmulatorDevice(const EmulatorOptions& options, std::vector<EmulatedKernel> own)
      : options_(options),
        own_(std::move(own)),
        blocks_(static_cast<std::size_t>(options.num_programs)),
        rules_(cuda_rules(options.sm)),
        attention_(*rules_, options) {
    counters_ = allocate(2 * sizeof(int));
    params_ = allocate(most_params_bytes());
    caps_.target = "emulator";
    caps_.architecture = fmt::format("sm_{}", options.sm);
    caps_.description = "lanes as fibers on this processor";
    caps_.is_emulated = true;
    caps_.num_programs = options.num_programs;
    caps_.has_pair_dot = true;
    caps_.dot_error = kMatrixUnitError;
  }

  const DeviceCaps& caps() const override { return caps_; }
  const AttentionTarget& attention() const override { return attention_; }
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override {
    return std::make_unique<MappedBuffer>(bytes, map_);
  }
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void synchronize() override {}
  std::unique_ptr<PageLayout> page_layout(const KvFormat& format, HeadShape heads,
                                          int page_size) const override {
    return cuda_page_layout(format, heads, page_size);
  }
  std::unique_ptr<WeightLayout> weight_layout(const WeightFormat& format, int out_dim,
                                              int in_dim) const override {
    return cuda_weight_layout(format, out_dim, in_dim);
  }

 private:
  struct Resolved {
    KernelVariant compiled;
    KernelName name;
    std::vector<LaunchableKernel> forms;
  };

  void add_kernel(const KernelVariant& variant) override {
    const KernelVariant compiled = compiled_variant(variant, *rules_);
    resolved_.push_back({compiled, kernel_of(variant),
                         std::vector<LaunchableKernel>(static_cast<std::size_t>(num_forms(compiled)))});
  }

  void start_kernel(KernelHandle handle, const void* params, int num_work, LaunchCost cost) override {
    add_cost(cost);
    if (num_work <= 0) return;
    Resolved& r = resolved_[static_cast<std::size_t>(handle.idx)];
    const LaunchableKernel& kernel = find(r, form_of(r.compiled, params));
    const int num_items = num_work_items(r.name, kernel.facts, params, num_work);
    if (num_items <= 0) return;
    std::memcpy(params_->data(), params, facts_of(r.name).params_bytes);
    run_blocks(kernel, std::min(num_items, options_.num_programs));
  }

  const LaunchableKernel& find(Resolved& r, int form) {
    LaunchableKernel& kernel = r.forms[static_cast<std::size_t>(form)];
    if (kernel.entry != nullptr) return kernel;
    const KernelInstance instance{r.compiled, form};
    kernel = look_up(instance);
    if (kernel.entry == nullptr && substitute_of(instance)) kernel = look_up(*substitute_of(instance));
    QUIRE_CHECK_KIND(kUnsupported, kernel.entry != nullptr, "this build has no kernel {} for emulated sm_{}",
                     kernel.facts.name, options_.sm);
    return kernel;
  }

  // Without an entry if this build does not have it: head sizes are compiled ahead, and only some.
  LaunchableKernel look_up(const KernelInstance& instance) const {
    LaunchableKernel kernel;
    kernel.facts = make_kernel(instance, *rules_, options_.tiles ? &*options_.tiles : nullptr);
    for (const std::span<const EmulatedKernel> kernels : {std::span(own_), emulated_kernels()}) {
      for (const EmulatedKernel& k : kernels) {
        if (kernel.entry == nullptr && k.sm == options_.sm && kernel.facts.name == k.name)
          kernel.entry = k.entry;
      }
    }
    return kernel;
  }

  // A thread for each block but the first. All end before the first error is thrown on.
  void run_blocks(const LaunchableKernel& kernel, int num_blocks) {
    ++num_launches_;
    GlobalWrites writes(num_blocks);
    std::vector<std::exception_ptr> errors(static_cast<std::size_t>(num_blocks));
    const auto run_block = [&](int idx) {
      const auto i = static_cast<std::size_t>(idx);
      try {
        int* counters = kernel.facts.persistent ? counters_->as<int>() : nullptr;
        const BlockShape shape{kernel.facts.shape.threads,
                               static_cast<std::size_t>(kernel.facts.shape.shared_bytes),
                               idx,
                               num_blocks,
                               options_.order,
                               options_.seed + num_launches_ * 31 + i};
        blocks_[i].run(shape, {map_.get(), num_blocks > 1 ? &writes : nullptr},
                       [&] { kernel.entry(params_->data(), counters); });
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
      std::fill_n(counters_->as<int>(), 2, 0);  // as they are between launches
      try {
        std::rethrow_exception(error);
      } catch (const Error& e) {
        throw_error(e.kind(), "kernel {}: {}", kernel.facts.name, e.what());
      }
    }
  }

  const EmulatorOptions options_;
  const std::vector<EmulatedKernel> own_;
  std::shared_ptr<MemoryMap> map_ = std::make_shared<MemoryMap>();
  std::vector<Block> blocks_;
  std::unique_ptr<Buffer> counters_, params_;
  const std::unique_ptr<TileRules> rules_;
  const EmulatorAttention attention_;
  std::vector<Resolved> resolved_;  // by handle
  std::uint64_t num_launches_ = 0;
  DeviceCaps caps_;
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
  return std::make_unique<EmulatorDevice>(options, std::move(kernels));
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
