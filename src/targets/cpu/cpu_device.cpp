#include "targets/cpu/cpu_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/check.h"
#include "device/attention_configs.h"
#include "kernels/params.h"
#include "targets/cpu/gang.h"
#include "targets/cpu/levels.h"

namespace quire {
namespace {

// Anonymous mapping, in huge pages where it is large: kernels stream through it.
class HostBuffer : public Buffer {
 public:
  explicit HostBuffer(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    QUIRE_CHECK_KIND(kExhausted, p != MAP_FAILED, "cannot allocate {} bytes of memory: {}", bytes, std::strerror(errno));
    data_ = static_cast<std::byte*>(p);
    if (bytes >= (std::size_t{4} << 20)) ::madvise(p, bytes, MADV_HUGEPAGE);
  }
  ~HostBuffer() override {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  std::byte* data() const override { return data_; }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_;
};

// A launch shorter than this is not worth waking another thread for.
bool is_tiny(const LaunchCost& cost) {
  const double seconds = cost.bytes / 10e9 + cost.flops / 30e9;
  return seconds > 0 && seconds < 4e-6;
}

// Of a kernel's params.
std::size_t params_bytes(KernelName name) {
  switch (name) {
    case KernelName::kAttention: return sizeof(AttentionParams);
    case KernelName::kMergeState: return sizeof(MergeStateParams);
    case KernelName::kKvWrite: return sizeof(KvWriteParams);
    case KernelName::kLinear:
    case KernelName::kLinearToF32: return sizeof(LinearParams);
    case KernelName::kRmsNorm: return sizeof(RmsNormParams);
    case KernelName::kRope: return sizeof(RopeParams);
    case KernelName::kActivation: return sizeof(ActivationParams);
    case KernelName::kEmbedding: return sizeof(EmbeddingParams);
    case KernelName::kSampleGreedy: return sizeof(SampleGreedyParams);
    case KernelName::kSampleBins:
    case KernelName::kSampleCut:
    case KernelName::kSampleDraw: return sizeof(SampleDrawParams);
    case KernelName::kTakeTokens: return sizeof(TakeTokensParams);
    case KernelName::kCeilingRead:
    case KernelName::kCeilingFma:
    case KernelName::kCeilingDot: return sizeof(CeilingParams);
    case KernelName::kCount: break;
  }
  throw_error(ErrorKind::kInternal, "no kernel {}", static_cast<int>(name));
}

// Launches with the params of when they were recorded: what a graph does on any device.
class CpuGraph : public Graph {
 public:
  explicit CpuGraph(Device& device) : device_(device) {}

  void add(KernelKey key, const void* params, int num_work, LaunchCost cost) {
    const auto* bytes = static_cast<const std::byte*>(params);
    launches_.push_back({key, {bytes, bytes + params_bytes(key.name)}, num_work, cost});
  }
  void launch() override {
    for (const Launch& l : launches_) device_.launch(l.key, l.params.data(), l.num_work, l.cost);
  }

 private:
  struct Launch {
    KernelKey key;
    std::vector<std::byte> params;
    int num_work;
    LaunchCost cost;
  };
  Device& device_;
  std::vector<Launch> launches_;
};

// Kernels are compiled with the program: what is tuned is how batches are cut.
ConfigRules config_rules() {
  return {[](const AttentionClass&) { return AttentionConfig{}; },
          [](const AttentionClass&, const AttentionConfig& config) {
            return config.tiles == AttentionTiles{} ? std::string() : "the kernels of target cpu are compiled with the program: there are no tiles to choose";
          }};
}

class CpuDevice : public Device, public TunableAttention {
 public:
  explicit CpuDevice(const DeviceOptions& options)
      : level_(choose_cpu_level(options.cpu_isa)),
        table_(level_.table()),
        gang_(choose_threads(options.num_threads)),
        scratch_(table_.scratch_bytes * static_cast<std::size_t>(gang_.num_threads())) {
    caps_.target = "cpu";
    caps_.architecture = level_.architecture;
    caps_.description = cpu_model_name();
    caps_.num_programs = gang_.num_threads();
    caps_.attention_rows = caps_.invariant_rows = table_.attention_rows;
    caps_.attention_keys = table_.attention_keys;
    caps_.has_pair_dot = caps_.rounds_probs[static_cast<int>(DType::kBF16)] = table_.has_pair_dot;
    chip_ = {caps_.target, caps_.architecture, caps_.description.empty() ? "unknown processor" : caps_.description, caps_.num_programs};
    configs_.read_tables(chip_, options.cache_dir, {});
    caps_ = attention_caps({});
  }

  const DeviceCaps& caps() const override { return caps_; }
  DeviceCaps attention_caps(const AttentionClass& problem) const override {
    DeviceCaps caps = caps_;
    caps.split_policy = configs_.of(problem).split_policy;
    caps.config_source = configs_.source_of(problem);
    return caps;
  }
  TunableAttention* tunable_attention() override { return this; }
  const Chip& chip() const override { return chip_; }
  AttentionConfig heuristics(const AttentionClass&) const override { return {}; }
  std::vector<AttentionTiles> legal_tiles(const AttentionClass&) const override { return {AttentionTiles{}}; }
  void use_config(const AttentionClass& problem, const AttentionConfig& config) override { configs_.set(problem, config); }
  std::vector<std::string> prepare_tiles(const AttentionClass&, std::span<const AttentionTiles> tiles, const std::function<void()>&) override {
    return std::vector<std::string>(tiles.size());
  }

  std::unique_ptr<Buffer> allocate(std::size_t bytes) override { return std::make_unique<HostBuffer>(bytes); }
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void synchronize() override {}
  NativeLayout native_layout(DType dtype) const override { return {LayoutKind::kPanels, dtype == DType::kBF16 ? 2 : 1}; }

  std::unique_ptr<Graph> capture(const std::function<void()>& launches) override {
    QUIRE_CHECK_KIND(kInternal, recording_ == nullptr, "cpu: cannot record a graph while launches are recorded");
    auto graph = std::make_unique<CpuGraph>(*this);
    recording_ = graph.get();
    try {
      launches();
    } catch (...) {
      recording_ = nullptr;
      throw;
    }
    recording_ = nullptr;
    return graph;
  }

  void launch(KernelKey key, const void* params, int num_work, LaunchCost cost) override {
    if (recording_ != nullptr) return recording_->add(key, params, num_work, cost);
    add_cost(cost);
    if (num_work <= 0) return;
    const CpuKernel kernel = choose_kernel(key, params, num_work);
    int next_item = 0;
    const auto program = [&](int idx) {
      kernel({params, scratch_.as<char>() + table_.scratch_bytes * static_cast<std::size_t>(idx), table_.scratch_bytes,
              &next_item, idx});
    };
    const int num_programs = is_tiny(cost) ? 1 : std::min(num_work, gang_.num_threads());
    if (num_programs == 1) return program(0);
    gang_.run(num_programs, program);
  }

 private:
  static int choose_threads(int asked) {
    QUIRE_CHECK(asked >= 0 && asked <= 1024, "number of threads must be 0 (one a core) to 1024, got {}", asked);
    return asked > 0 ? asked : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }

  // The linear kernel has a configuration for few rows; items are counted in tiles of the chosen one.
  CpuKernel choose_kernel(KernelKey key, const void* params, int& num_work) const {
    const auto dtype = static_cast<std::size_t>(key.dtype);
    const auto name = static_cast<std::size_t>(key.name);
    QUIRE_CHECK_KIND(kInternal, name < kNumCpuKernels && dtype < kNumDTypes, "no kernel {} for dtype {}", name, dtype);
    if (key.name != KernelName::kLinear && key.name != KernelName::kLinearToF32) return table_.kernels[name][dtype];
    const auto& p = *static_cast<const LinearParams*>(params);
    const bool few = p.num_rows <= table_.linear_few_rows;
    num_work = few ? ceil_div(p.out_dim, table_.linear_few_cols)
                   : ceil_div(p.out_dim, table_.linear_cols) * ceil_div(p.num_rows, table_.linear_rows);
    return few ? table_.linear_few[key.name == KernelName::kLinearToF32][dtype] : table_.kernels[name][dtype];
  }

  const CpuLevel level_;
  const CpuKernelTable table_;
  Gang gang_;
  HostBuffer scratch_;
  CpuGraph* recording_ = nullptr;  // while launches are recorded
  DeviceCaps caps_;
  Chip chip_;
  AttentionConfigs configs_{config_rules()};
};

static_assert(kNumCpuKernels == static_cast<int>(KernelName::kCount));

std::vector<std::string> level_names(const DeviceOptions&) {
  std::vector<std::string> names;
  for (const CpuLevel& level : cpu_levels()) {
    names.push_back(fmt::format("{} ({}{})", level.name, level.architecture, level.present ? "" : "; not on this processor"));
  }
  return names;
}

}  // namespace

void register_cpu_target(TargetRegistry& registry) {
  registry.add({"cpu", [](const DeviceOptions&) { return std::string(); },
                [](const DeviceOptions& options) { return std::make_unique<CpuDevice>(options); }, level_names});
}

}  // namespace quire
