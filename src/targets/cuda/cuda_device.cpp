#include "targets/cuda/cuda_device.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "device/attention_configs.h"
#include "kernels/params.h"
#include "targets/cuda/cublaslt.h"
#include "targets/cuda/cuda_memory.h"
#include "targets/cuda/kernel_compiler.h"

namespace quire {
namespace {

constexpr int kMaxBlocks = 65535 * 16;
constexpr std::size_t kVendorWorkspaceBytes = 32u << 20;
constexpr int kOwnLinearRows = 16;  // up to so many, reading the weights is all there is to do, and our kernel does that

bool is_linear(KernelName name) { return name == KernelName::kLinear || name == KernelName::kLinearToF32; }

// Sets a flag for as long as it lives.
class Raised {
 public:
  explicit Raised(bool& flag) : flag_(flag) { flag_ = true; }
  ~Raised() { flag_ = false; }
  Raised(const Raised&) = delete;
  Raised& operator=(const Raised&) = delete;

 private:
  bool& flag_;
};

struct LoadedKernel {
  CudaKernel kernel;
  CuModuleHandle* module = nullptr;
  CuFunctionHandle* function = nullptr;
};

constexpr int kUsualSpilledBytes = 256;  // of registers in memory, in all code: not yet a reason against a kernel

ConfigRules config_rules(int sm) {
  return {[sm](const AttentionClass& problem) { return heuristic_config(problem, sm); },
          [sm](const AttentionClass& problem, const AttentionConfig& config) { return why_illegal_tiles(problem, config.tiles, sm); }};
}

class CudaDevice : public Device, public TunableAttention {
 public:
  explicit CudaDevice(const DeviceOptions& options)
      : options_(options),
        driver_(Driver::open()),
        compiler_(options, driver_->version() / 1000),
        context_(std::make_shared<CudaContext>(driver_, options.device_idx)),
        family_(kernel_family(context_->facts().sm)),
        may_overlap_(family_ >= 90 && driver_->call().launch_kernel_ex != nullptr),
        architecture_(architecture_of(context_->facts().sm, compiler_.nvrtc().chips())),
        staging_(context_),
        counters_(allocate_cuda(context_, 2 * sizeof(int))),
        configs_(config_rules(family_)) {
    const int zeroed = context_->call().memset_d8_async(cuda_address(counters_->data()), 0, counters_->bytes(), context_->stream());
    driver_->check(zeroed, "clear the launch counters");
    caps_.target = "cuda";
    caps_.architecture = architecture_;
    caps_.description = context_->facts().name;
    caps_.runs_async = true;
    chip_ = {caps_.target, architecture_, context_->facts().name, context_->facts().num_multiprocessors};
    configs_.read_tables(chip_, options.cache_dir, embedded_tuned_tables());
    caps_ = attention_caps({});
  }

  DeviceCaps attention_caps(const AttentionClass& problem) const override {
    DeviceCaps caps = caps_;
    AttentionConfig config = configs_.of(problem);
    // Where few rows have no form of their own, prefill's kernel serves all batches.
    if (config.tiles.few_keys == 0) config.tiles = configs_.of({problem.dtype, problem.head_dim, BatchKind::kPrefill}).tiles;
    set_attention_caps(config, caps);
    caps.num_programs = programs_at_once(config.tiles.blocks_per_sm);
    caps.config_source = configs_.source_of(problem);
    return caps;
  }

  TunableAttention* tunable_attention() override { return this; }
  const Chip& chip() const override { return chip_; }
  AttentionConfig heuristics(const AttentionClass& problem) const override { return heuristic_config(problem, family_); }
  std::vector<AttentionTiles> legal_tiles(const AttentionClass& problem) const override { return legal_tiles_of(problem, family_); }

  // Kernels of other tiles stay loaded: graphs may hold them, and a tuner comes back to them.
  void use_config(const AttentionClass& problem, const AttentionConfig& config) override {
    check_not_recording("change a configuration");
    const AttentionTiles before = configs_.of(problem).tiles;
    configs_.set(problem, config);
    if (config.tiles == before) return;
    for (std::size_t id = 0; id < kernels_.size(); ++id) {
      if (kernels_[id].function == nullptr || attention_class(static_cast<int>(id)) != problem) continue;
      spare_.push_back({static_cast<int>(id), before, std::exchange(kernels_[id], {})});
    }
    for (SpareKernel& spare : spare_) {
      if (spare.tiles != config.tiles || attention_class(spare.id) != problem) continue;
      make_room(spare.id);
      kernels_[static_cast<std::size_t>(spare.id)] = std::exchange(spare.loaded, {});
    }
    std::erase_if(spare_, [](const SpareKernel& spare) { return spare.loaded.module == nullptr; });
  }

  std::vector<std::string> prepare_tiles(const AttentionClass& problem, std::span<const AttentionTiles> tiles,
                                         const std::function<void()>& launches) override {
    std::vector<int> ids = ids_of(launches);
    std::erase_if(ids, [&](int id) { return attention_class(id) != problem; });
    QUIRE_CHECK_KIND(kInternal, !ids.empty(), "no launch is of {}", to_string(problem));
    std::vector<CudaKernel> kernels;
    for (const AttentionTiles& t : tiles) {
      for (const int id : ids) kernels.push_back(make_kernel(id, family_, &t));
    }
    const auto outcomes = compiler_.try_get(kernels, architecture_);
    context_->bind();
    std::vector<std::string> reasons(tiles.size());
    for (std::size_t i = 0; i < kernels.size(); ++i) {
      std::string& reason = reasons[i / ids.size()];
      const KernelCompiler::Outcome& of_first = outcomes[i % ids.size()];
      const int most = of_first.error != nullptr ? 0 : std::max(kUsualSpilledBytes, 2 * spilled_bytes(of_first.kernel.log));
      if (reason.empty() && outcomes[i].error == nullptr && spilled_bytes(outcomes[i].kernel.log) > most) {
        reason = fmt::format("{} bytes of registers go to memory, at most {} are tried", spilled_bytes(outcomes[i].kernel.log), most);
      }
      if (reason.empty()) reason = keep_spare(ids[i % ids.size()], tiles[i / ids.size()], kernels[i], outcomes[i]);
    }
    return reasons;
  }

  ~CudaDevice() override {
    const CudaFunctions& call = context_->call();
    call.ctx_set_current(context_->handle());
    call.stream_synchronize(context_->stream());
    for (const LoadedKernel& kernel : kernels_) {
      if (kernel.module != nullptr) call.module_unload(kernel.module);
    }
    for (const SpareKernel& spare : spare_) call.module_unload(spare.loaded.module);
  }
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  const DeviceCaps& caps() const override { return caps_; }
  NativeLayout native_layout(DType dtype) const override {
    return {LayoutKind::kSwizzled, static_cast<int>(16 / dtype_bytes(dtype))};
  }

  std::unique_ptr<Buffer> allocate(std::size_t bytes) override {
    check_not_recording("allocate memory");
    return allocate_cuda(context_, bytes);
  }
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override {
    check_not_recording("copy to the device");
    staging_.to_device(to, from, bytes);
  }
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override {
    check_not_recording("copy to the host");
    staging_.to_host(to, from, bytes);
  }
  std::unique_ptr<HostCopy> make_host_copy(std::size_t max_bytes) override {
    return std::make_unique<CudaHostCopy>(context_, max_bytes);
  }
  DeviceMemory memory() const override {
    DeviceMemory memory;
    context_->bind();
    driver_->check(context_->call().mem_get_info(&memory.free_bytes, &memory.total_bytes), "read the free memory of {}",
                   context_->facts().name);
    return memory;
  }
  void synchronize() override {
    check_not_recording("wait for the device");
    context_->synchronize();
  }

  void launch(KernelKey key, const void* params, int num_work, LaunchCost cost) override {
    if (!is_preparing_) add_cost(cost);
    if (num_work <= 0) return;
    context_->bind();
    if (is_linear(key.name) && launch_vendor_linear(key, *static_cast<const LinearParams*>(params))) return;
    const int id = kernel_id(key, params);
    if (is_preparing_) return wanted_.push_back(id);
    launch_own(id, params, num_work);
  }

  std::unique_ptr<Graph> capture(const std::function<void()>& launches) override {
    check_not_recording("record a graph");
    const LaunchCost before = take_cost();
    std::unique_ptr<CudaGraph> graph;
    {
      const Raised recording(is_recording_);
      graph = std::make_unique<CudaGraph>(context_, launches);
    }
    graph->set_cost(take_cost(), *this);
    add_cost(before);
    return graph;
  }

  double time_us(const std::function<void()>& work) override {
    check_not_recording("measure a time");
    const CudaFunctions& call = context_->call();
    context_->bind();
    const auto destroy = [&call](CuEventHandle* event) { call.event_destroy(event); };
    using Event = std::unique_ptr<CuEventHandle, decltype(destroy)>;
    const auto make_event = [&] {
      CuEventHandle* event = nullptr;
      driver_->check(call.event_create(&event, 0), "create an event");
      return Event(event, destroy);
    };
    const Event start = make_event(), end = make_event();
    driver_->check(call.event_record(start.get(), context_->stream()), "record the start of a time");
    work();
    driver_->check(call.event_record(end.get(), context_->stream()), "record the end of a time");
    driver_->check(call.event_synchronize(end.get()), "finish the launches that are timed");
    float milliseconds = 0;
    driver_->check(call.event_elapsed_time(&milliseconds, start.get(), end.get()), "read a time");
    return 1e3 * milliseconds;
  }

  void prepare(const std::function<void()>& launches) override {
    load(ids_of(launches));
  }

 private:
  void check_not_recording(const char* attempt) const {
    QUIRE_CHECK_KIND(kInternal, !is_recording_, "cuda: cannot {} while launches are recorded", attempt);
  }

  int programs_at_once(int blocks_per_sm) const {
    const int all = context_->facts().num_multiprocessors * blocks_per_sm;
    return options_.max_programs > 0 ? std::min(options_.max_programs, all) : all;
  }

  // Kernels that the function would launch, in order.
  std::vector<int> ids_of(const std::function<void()>& launches) {
    check_not_recording("prepare kernels");
    wanted_.clear();
    {
      const Raised preparing(is_preparing_);
      launches();
    }
    std::vector<int> ids = std::exchange(wanted_, {});
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
  }

  void make_room(int id) { kernels_.resize(std::max(kernels_.size(), static_cast<std::size_t>(id) + 1)); }

  CudaKernel choose_kernel(int id) const {
    const auto problem = attention_class(id);
    return make_kernel(id, family_, problem ? &configs_.of(*problem).tiles : nullptr);
  }

  // Loads a kernel that may be used later. Empty, or why it cannot be used.
  std::string keep_spare(int id, const AttentionTiles& tiles, const CudaKernel& kernel, const KernelCompiler::Outcome& outcome) {
    const AttentionClass problem = *attention_class(id);
    const bool is_in_use = configs_.of(problem).tiles == tiles;
    make_room(id);
    const auto is_same = [&](const SpareKernel& spare) { return spare.id == id && spare.tiles == tiles; };
    try {
      if (outcome.error != nullptr) std::rethrow_exception(outcome.error);
      if (is_in_use ? kernels_[id].function != nullptr : std::any_of(spare_.begin(), spare_.end(), is_same)) return {};
      LoadedKernel loaded;
      load_module(kernel, outcome.kernel, loaded);
      if (is_in_use) {
        kernels_[id] = loaded;
      } else {
        spare_.push_back({id, tiles, loaded});
      }
      return {};
    } catch (const Error& e) {
      return e.what();
    }
  }

  // Compiles and loads those that are missing.
  void load(std::vector<int> ids) {
    std::erase_if(ids, [&](int id) { return static_cast<std::size_t>(id) < kernels_.size() && kernels_[id].function; });
    if (ids.empty()) return;
    std::vector<CudaKernel> missing;
    for (const int id : ids) missing.push_back(choose_kernel(id));
    const std::vector<CompiledKernel> compiled = compiler_.get(missing, architecture_);
    make_room(ids.back());
    context_->bind();
    for (std::size_t i = 0; i < ids.size(); ++i) load_module(missing[i], compiled[i], kernels_[ids[i]]);
  }

  void load_module(const CudaKernel& kernel, const CompiledKernel& code, LoadedKernel& loaded) {
    const CudaFunctions& call = context_->call();
    loaded.kernel = kernel;
    driver_->check(call.module_load_data(&loaded.module, code.binary.data()),
                   "load kernel {} ({} bytes by nvrtc {}) on {} with a driver for CUDA {}", code.name, code.binary.size(),
                   compiler_.nvrtc().version(), context_->facts().name, cuda_version_text(driver_->version()));
    CuFunctionHandle* function = nullptr;
    driver_->check(call.module_get_function(&function, loaded.module, "quire_entry"), "find the entry of kernel {}", code.name);
    driver_->check(call.func_set_attribute(function, kCuFunctionMaxDynamicSharedBytes, kernel.shared_bytes),
                   "give kernel {} {} bytes of shared memory", code.name, kernel.shared_bytes);
    if (kernel.persistent) {  // or the driver leaves room for fewer blocks than there should be
      driver_->check(call.func_set_attribute(function, kCuFunctionSharedCarveout, 100), "give kernel {} all shared memory", code.name);
    }
    loaded.function = function;
  }

  void launch_own(int id, const void* params, int num_work) {
    if (static_cast<std::size_t>(id) >= kernels_.size() || kernels_[id].function == nullptr) load({id});
    const LoadedKernel& loaded = kernels_[id];
    const CudaKernel& kernel = loaded.kernel;
    const int num_items = num_work_items(id, params, num_work);
    if (num_items <= 0) return;
    const int most = kernel.persistent ? programs_at_once(kernel.blocks_per_sm) : kMaxBlocks;
    const int num_blocks = std::min(num_items, most);
    int* counters = kernel.persistent ? counters_->as<int>() : nullptr;
    void* args[] = {const_cast<void*>(params), &counters};
    const int result = start(loaded, static_cast<unsigned>(num_blocks), args);
    driver_->check(result, "launch kernel {} ({} blocks of {} threads, {} bytes of shared memory each)", kernel.name, num_blocks,
                   kernel.threads, kernel.shared_bytes);
  }

  // A launch may start before the one ahead of it has ended: every kernel waits for that itself, before it touches what others wrote.
  int start(const LoadedKernel& loaded, unsigned num_blocks, void** args) {
    const CudaFunctions& call = context_->call();
    const auto threads = static_cast<unsigned>(loaded.kernel.threads), shared_bytes = static_cast<unsigned>(loaded.kernel.shared_bytes);
    if (!may_overlap_) {
      return call.launch_kernel(loaded.function, num_blocks, 1, 1, threads, 1, 1, shared_bytes, context_->stream(), args, nullptr);
    }
    const CuLaunchAttribute attribute{kCuLaunchMayOverlap, 1, {}};
    const CuLaunchConfig config{num_blocks, 1, 1, threads, 1, 1, shared_bytes, context_->stream(), &attribute, 1};
    return call.launch_kernel_ex(&config, loaded.function, args, nullptr);
  }

  // False if our own kernel is to do it.
  bool launch_vendor_linear(KernelKey key, const LinearParams& p) {
    if (p.num_rows <= kOwnLinearRows || p.batch_invariant != 0 || options_.own_kernels_only) return false;
    if (!is_vendor_asked_for_) {
      is_vendor_asked_for_ = true;
      vendor_ = CublasLt::try_open(options_.cublas_path, driver_->version() / 1000);
      if (vendor_ != nullptr) workspace_ = allocate_cuda(context_, kVendorWorkspaceBytes);
    }
    if (vendor_ == nullptr) return false;
    const CublasLinear problem{key.dtype, key.name == KernelName::kLinearToF32, native_layout(key.dtype), p};
    if (is_preparing_) return vendor_->can_do(problem);
    return vendor_->run(problem, {context_->stream(), workspace_->data(), workspace_->bytes()});
  }

  const DeviceOptions options_;
  std::shared_ptr<const Driver> driver_;
  KernelCompiler compiler_;
  std::shared_ptr<const CudaContext> context_;
  const int family_;
  const bool may_overlap_;
  const std::string architecture_;
  StagingRing staging_;
  std::unique_ptr<Buffer> counters_;  // of persistent kernels: launches follow each other, so two ints serve them all
  std::vector<LoadedKernel> kernels_;  // by id; null function: not loaded
  struct SpareKernel {
    int id;
    AttentionTiles tiles;
    LoadedKernel loaded;
  };
  std::vector<SpareKernel> spare_;  // of tiles that are not in use
  Chip chip_;
  AttentionConfigs configs_;
  std::unique_ptr<Buffer> workspace_;
  std::unique_ptr<CublasLt> vendor_;
  bool is_vendor_asked_for_ = false, is_recording_ = false, is_preparing_ = false;
  std::vector<int> wanted_;
  DeviceCaps caps_;
};

std::string why_absent(const DeviceOptions& options) {
  try {
    const auto driver = Driver::open();
    const CudaDeviceFacts facts = driver->facts(options.device_idx);
    architecture_of(facts.sm, Nvrtc(options.nvrtc_path, driver->version() / 1000).chips());
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

std::vector<std::string> device_lines(const DeviceOptions& options) {
  const auto driver = Driver::open();
  const Nvrtc nvrtc(options.nvrtc_path, driver->version() / 1000);
  std::vector<std::string> lines;
  for (int i = 0; i < driver->num_devices(); ++i) {
    const CudaDeviceFacts f = driver->facts(i);
    lines.push_back(fmt::format("{}: {}, compute capability {}.{}, {} SMs at {:.2f} GHz, {:.1f} GiB", i, f.name, f.sm / 10,
                                f.sm % 10, f.num_multiprocessors, f.clock_khz / 1e6,
                                static_cast<double>(f.memory_bytes) / (1u << 30)));
  }
  lines.push_back(fmt::format("driver for CUDA {}, NVRTC {} ({})", cuda_version_text(driver->version()), nvrtc.version(),
                              nvrtc.path().string()));
  return lines;
}

}  // namespace

void register_cuda_target(TargetRegistry& registry) {
  registry.add({"cuda", why_absent, [](const DeviceOptions& options) { return std::make_unique<CudaDevice>(options); },
                device_lines});
}

}  // namespace quire
