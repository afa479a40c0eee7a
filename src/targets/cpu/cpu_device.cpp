#include "targets/cpu/cpu_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/check.h"
#include "kernels/params.h"
#include "targets/cpu/cpu_layout.h"
#include "targets/cpu/gang.h"
#include "targets/cpu/levels.h"
#include "tile/ranges.h"
#include "tuning/attention_target.h"
#include "tuning/tuning_store.h"

namespace quire {
namespace {

// An anonymous mapping. Large ones use huge pages, because kernels stream through them.
class HostBuffer : public Buffer {
 public:
  explicit HostBuffer(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    QUIRE_CHECK_KIND(kExhausted, p != MAP_FAILED, "cannot allocate {} bytes of memory: {}", bytes,
                     std::strerror(errno));
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

// True for launches that end before another thread would have woken up.
bool is_tiny(const LaunchCost& cost) {
  const double seconds = cost.bytes / 10e9 + cost.flops / 30e9;
  return seconds > 0 && seconds < 4e-6;
}

// Recorded launches, replayed with the params that they were recorded with.
class CpuGraph : public Graph {
 public:
  explicit CpuGraph(Device& device) : device_(device) {}

  void add(KernelHandle kernel, const void* params, std::size_t params_bytes, int num_work, LaunchCost cost) {
    const auto* bytes = static_cast<const std::byte*>(params);
    launches_.push_back({kernel, {bytes, bytes + params_bytes}, num_work, cost});
  }
  void launch() override {
    for (const Launch& l : launches_) device_.launch(l.kernel, l.params.data(), l.num_work, l.cost);
  }

 private:
  struct Launch {
    KernelHandle kernel;
    std::vector<std::byte> params;
    int num_work;
    LaunchCost cost;
  };
  Device& device_;
  std::vector<Launch> launches_;
};

// The kernels' tiles are fixed at build time; only how batches are split can be tuned.
ConfigRules config_rules() {
  return {
      [](const AttentionClass&) { return AttentionTuning{}; },
      [](const AttentionClass&, const AttentionTuning& config) {
        return config.tiles == AttentionTiles{}
                   ? std::string()
                   : "the kernels of target cpu are compiled with the program: there are no tiles to choose";
      }};
}

// What the planner and the tuner need to know of the CPU's attention.
class CpuAttention : public AttentionTarget, public TunableAttention {
 public:
  CpuAttention(const CpuKernelTable& table, const DeviceCaps& caps, const std::string& cache_dir)
      : table_(table),
        chip_{caps.target, caps.architecture,
              caps.description.empty() ? "unknown processor" : caps.description, caps.num_programs} {
    store_.read_tables(chip_, cache_dir, {});
  }

  KernelAbilities abilities() const override { return {kAllScoreMods, {true, true, true}, kMaxHeadShape}; }
  BatchKindCaps caps(const AttentionClass& problem) const override {
    BatchKindCaps caps;
    caps.num_programs = chip_.num_units;
    caps.rows = caps.invariant_rows = table_.attention_rows;
    caps.keys = table_.attention_keys;
    caps.split_policy = store_.of(problem).split_policy;
    caps.source = store_.source_of(problem);
    return caps;
  }
  bool rounds_probs(DType v) const override { return v == DType::kBF16 && table_.has_pair_dot; }
  TunableAttention* tunable() const override { return const_cast<CpuAttention*>(this); }

  const Chip& chip() const override { return chip_; }
  AttentionTuning heuristics(const AttentionClass&) const override { return {}; }
  std::vector<AttentionTiles> legal_tiles(const AttentionClass&) const override { return {AttentionTiles{}}; }
  void use_config(const AttentionClass& problem, const AttentionTuning& config) override {
    store_.set(problem, config);
  }
  std::vector<std::string> prepare_tiles(const AttentionClass&, std::span<const AttentionTiles> tiles,
                                         const std::function<void()>&) override {
    return std::vector<std::string>(tiles.size());
  }

 private:
  const CpuKernelTable& table_;
  const Chip chip_;
  TuningStore store_{config_rules()};
};

// A resolved variant. Linear layers have a second kernel, for few rows.
struct CpuChoice {
  CpuKernel kernel = nullptr, few = nullptr;
  std::size_t params_bytes = 0;
};

class CpuDevice : public Device {
 public:
  explicit CpuDevice(const DeviceOptions& options)
      : level_(choose_cpu_level(options.setting("cpu.isa"))),
        table_(level_.table()),
        gang_(choose_threads(options.int_setting("cpu.threads", 0, 0, 1024))),
        scratch_(table_.scratch_bytes * static_cast<std::size_t>(gang_.num_threads())),
        caps_{.target = "cpu",
              .architecture = level_.architecture,
              .description = cpu_model_name(),
              .num_programs = gang_.num_threads(),
              .has_pair_dot = table_.has_pair_dot},
        attention_(table_, caps_, options.cache_dir) {}

  const DeviceCaps& caps() const override { return caps_; }
  const AttentionTarget& attention() const override { return attention_; }

  std::unique_ptr<Buffer> allocate(std::size_t bytes) override { return std::make_unique<HostBuffer>(bytes); }
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void synchronize() override {}
  std::unique_ptr<PageLayout> page_layout(const KvFormat& format, HeadShape heads,
                                          int page_size) const override {
    return cpu_page_layout(format, heads, page_size);
  }
  std::unique_ptr<WeightLayout> weight_layout(const WeightFormat& format, int out_dim,
                                              int in_dim) const override {
    return cpu_weight_layout(format, out_dim, in_dim);
  }

  std::unique_ptr<Graph> capture(const std::function<void()>& launches) override {
    QUIRE_CHECK_KIND(kInternal, recording_ == nullptr,
                     "cpu: cannot record a graph while launches are recorded");
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

  void start_kernel(KernelHandle handle, const void* params, int num_work, LaunchCost cost) override {
    const CpuChoice& choice = choices_[static_cast<std::size_t>(handle.idx)];
    if (recording_ != nullptr) return recording_->add(handle, params, choice.params_bytes, num_work, cost);
    add_cost(cost);
    if (num_work <= 0) return;
    const CpuKernel kernel = choose_kernel(choice, params, num_work);
    int next_item = 0;
    const auto program = [&](int idx) {
      kernel({params, scratch_.as<char>() + table_.scratch_bytes * static_cast<std::size_t>(idx),
              table_.scratch_bytes, &next_item, idx});
    };
    const int num_programs = is_tiny(cost) ? 1 : std::min(num_work, gang_.num_threads());
    if (num_programs == 1) return program(0);
    gang_.run(num_programs, program);
  }

 private:
  static int choose_threads(int asked) {  // 0: one a core
    return asked > 0 ? asked : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }

  void add_kernel(const KernelVariant& variant) override {
    CpuChoice choice = std::visit([&](const auto& v) { return choice_of(v); }, variant);
    QUIRE_CHECK_KIND(kUnsupported, choice.kernel != nullptr, "target cpu has no kernel {}",
                     to_string(variant));
    choice.params_bytes = facts_of(kernel_of(variant)).params_bytes;
    choices_.push_back(choice);
  }

  CpuChoice choice_of(const AttentionVariant& v) const {
    return {table_.attention[static_cast<std::size_t>(common_type(v))]};
  }
  CpuChoice choice_of(const LinearVariant& v) const {
    const auto x = static_cast<std::size_t>(common_type(v)), y = static_cast<std::size_t>(v.y != v.x);
    return {table_.linear[0][y][x], table_.linear[1][y][x]};
  }
  CpuChoice choice_of(const RowVariant& v) const {
    return {table_.rows[static_cast<std::size_t>(v.kernel)][static_cast<std::size_t>(v.dtype)]};
  }

  // For linear layers it also sets num_work: the number of output tiles of the chosen kernel.
  CpuKernel choose_kernel(const CpuChoice& choice, const void* params, int& num_work) const {
    if (choice.few == nullptr) return choice.kernel;
    const auto& p = *static_cast<const LinearParams*>(params);
    const bool few = p.num_rows <= table_.linear_few_rows;
    num_work = few ? ceil_div(p.out_dim, table_.linear_few_cols)
                   : ceil_div(p.out_dim, table_.linear_cols) * ceil_div(p.num_rows, table_.linear_rows);
    return few ? choice.few : choice.kernel;
  }

  const CpuLevel level_;
  const CpuKernelTable table_;
  Gang gang_;
  HostBuffer scratch_;
  CpuGraph* recording_ = nullptr;  // while launches are recorded
  const DeviceCaps caps_;
  const CpuAttention attention_;
  std::vector<CpuChoice> choices_;  // by handle
};

std::vector<std::string> level_names(const DeviceOptions&) {
  std::vector<std::string> names;
  for (const CpuLevel& level : cpu_levels()) {
    names.push_back(fmt::format("{} ({}{})", level.name, level.architecture,
                                level.present ? "" : "; not on this processor"));
  }
  return names;
}

}  // namespace

void register_cpu_target(TargetRegistry& registry) {
  TargetEntry entry;
  entry.name = "cpu";
  entry.why_absent = [](const DeviceOptions&) { return std::string(); };
  entry.open = [](const DeviceOptions& options) { return std::make_unique<CpuDevice>(options); };
  entry.levels = level_names;
  entry.settings = {"isa",
                    "threads"};  // isa: "" = the best that the machine has, else v2 | v3 | v4 | v4bf16 | neon
  registry.add(std::move(entry));
}

}  // namespace quire
