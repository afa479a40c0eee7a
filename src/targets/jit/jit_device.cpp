#include "targets/jit/jit_device.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/params.h"

namespace quire {
namespace {

constexpr int kMaxBlocks = 65535 * 16;
constexpr int kOwnLinearRows =
    kFewRows;  // up to so many, reading the weights is all there is to do, and our kernel does that
constexpr int kUsualSpilledBytes = 256;  // spilled bytes in all of the code that are still accepted

// A flag is true while this object exists.
class Raised {
 public:
  explicit Raised(bool& flag) : flag_(flag) { flag_ = true; }
  ~Raised() { flag_ = false; }
  Raised(const Raised&) = delete;
  Raised& operator=(const Raised&) = delete;

 private:
  bool& flag_;
};

}  // namespace

JitDevice::JitDevice(JitParts parts)
    : parts_(std::move(parts)),
      api_(parts_.api),
      staging_(api_),
      counters_(allocate_gpu(api_, 2 * sizeof(int))),
      chip_{api_->facts().target, parts_.architecture, api_->facts().description, api_->facts().num_units},
      attention_(*parts_.rules, api_->facts().num_units, parts_.max_programs) {
  api_->clear(counters_->data(), counters_->bytes());
  attention_.store().read_tables(chip_, parts_.tables_dir, parts_.tuned_tables);
  if (!parts_.is_emulated) attention_.set_tunable(this);
  caps_.target = chip_.target;
  caps_.architecture = chip_.architecture;
  caps_.description = chip_.description;
  caps_.num_programs = attention_.caps({}).num_programs;
  caps_.has_pair_dot = true;
  caps_.dot_error = parts_.dot_error;
  caps_.runs_async = !parts_.is_emulated;
  caps_.compiles_kernels = !parts_.is_emulated;
  caps_.is_emulated = parts_.is_emulated;
}

JitDevice::~JitDevice() {
  for (const Slot& slot : slots_) {
    if (slot.code.module != nullptr) api_->unload(slot.code);
  }
  for (const Spare& spare : spare_) api_->unload(spare.code);
}

void JitDevice::check_not_recording(const char* attempt) const {
  QUIRE_CHECK_KIND(kInternal, !is_recording_, "{}: cannot {} while launches are recorded", chip_.target,
                   attempt);
}

std::unique_ptr<Buffer> JitDevice::allocate(std::size_t bytes) {
  check_not_recording("allocate memory");
  return allocate_gpu(api_, bytes);
}

void JitDevice::copy_to_device(std::byte* to, const void* from, std::size_t bytes) {
  check_not_recording("copy to the device");
  staging_.to_device(to, from, bytes);
}

void JitDevice::copy_to_host(void* to, const std::byte* from, std::size_t bytes) {
  check_not_recording("copy to the host");
  staging_.to_host(to, from, bytes);
}

std::unique_ptr<HostCopy> JitDevice::make_host_copy(std::size_t max_bytes) {
  return std::make_unique<GpuHostCopy>(api_, max_bytes);
}

DeviceMemory JitDevice::memory() const {
  DeviceMemory memory;
  memory.is_host = parts_.is_emulated;
  api_->bind();
  api_->memory_info(memory.free_bytes, memory.total_bytes);
  return memory;
}

void JitDevice::synchronize() {
  check_not_recording("wait for the device");
  api_->synchronize();
}

std::unique_ptr<Graph> JitDevice::capture(const std::function<void()>& launches) {
  check_not_recording("record a graph");
  const LaunchCost before = take_cost();
  std::unique_ptr<RecordedGraph> graph;
  {
    const Raised recording(is_recording_);
    graph = std::make_unique<RecordedGraph>(api_, launches);
  }
  graph->set_cost(take_cost(), *this);
  add_cost(before);
  return graph;
}

double JitDevice::time_us(const std::function<void()>& work) {
  check_not_recording("measure a time");
  return time_on_gpu_us(*api_, work);
}

void JitDevice::prepare(const std::function<void()>& launches, const CompileProgress& progress) {
  load(slots_of(launches), progress);
}

// Kernels with other tiles stay loaded: graphs may use them, and a tuner may choose them again.
void JitDevice::use_config(const AttentionClass& problem, const AttentionTuning& config) {
  check_not_recording("change a configuration");
  const AttentionTiles before = attention_.store().of(problem).tiles;
  attention_.store().set(problem, config);
  if (config.tiles == before) return;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.code.function == nullptr || attention_class(slot.instance) != problem) continue;
    spare_.push_back({static_cast<int>(i), before, std::move(slot.kernel), std::exchange(slot.code, {})});
  }
  for (Spare& spare : spare_) {
    Slot& slot = slots_[static_cast<std::size_t>(spare.slot)];
    if (spare.tiles != config.tiles || attention_class(slot.instance) != problem) continue;
    slot.kernel = std::move(spare.kernel);
    slot.code = std::exchange(spare.code, {});
  }
  std::erase_if(spare_, [](const Spare& spare) { return spare.code.module == nullptr; });
}

std::vector<std::string> JitDevice::prepare_tiles(const AttentionClass& problem,
                                                  std::span<const AttentionTiles> tiles,
                                                  const std::function<void()>& launches) {
  std::vector<int> slots = slots_of(launches);
  std::erase_if(slots, [&](int slot) {
    return attention_class(slots_[static_cast<std::size_t>(slot)].instance) != problem;
  });
  QUIRE_CHECK_KIND(kInternal, !slots.empty(), "no launch is of {}", to_string(problem));
  std::vector<JitKernel> kernels;
  for (const AttentionTiles& t : tiles) {
    for (const int slot : slots)
      kernels.push_back(make_kernel(slots_[static_cast<std::size_t>(slot)].instance, *parts_.rules, &t));
  }
  const auto outcomes = parts_.compiler.try_get(kernels, parts_.architecture);
  api_->bind();
  std::vector<std::string> reasons(tiles.size());
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    std::string& reason = reasons[i / slots.size()];
    const KernelCompiler::Outcome& of_first = outcomes[i % slots.size()];
    const int most = of_first.error != nullptr
                         ? 0
                         : std::max(kUsualSpilledBytes, 2 * parts_.spilled_bytes(of_first.kernel.log));
    if (reason.empty() && outcomes[i].error == nullptr &&
        parts_.spilled_bytes(outcomes[i].kernel.log) > most) {
      reason = fmt::format("{} bytes of registers go to memory, at most {} are tried",
                           parts_.spilled_bytes(outcomes[i].kernel.log), most);
    }
    if (reason.empty())
      reason = keep_spare(slots[i % slots.size()], tiles[i / slots.size()], kernels[i], outcomes[i]);
  }
  return reasons;
}

// Variants with the same code share their slots.
int JitDevice::first_slot_of(const KernelVariant& compiled) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].instance == KernelInstance{compiled, 0}) return static_cast<int>(i);
  }
  const auto first = static_cast<int>(slots_.size());
  for (int form = 0; form < num_forms(compiled); ++form) slots_.push_back({{compiled, form}, {}, {}});
  return first;
}

void JitDevice::add_kernel(const KernelVariant& variant) {
  resolved_.push_back({variant, kernel_of(variant), first_slot_of(compiled_variant(variant, *parts_.rules))});
}

void JitDevice::start_kernel(KernelHandle kernel, const void* params, int num_work, LaunchCost cost) {
  if (!is_preparing_) add_cost(cost);
  if (num_work <= 0) return;
  api_->bind();
  const Resolved& r = resolved_[static_cast<std::size_t>(kernel.idx)];
  if (r.name == KernelName::kLinear &&
      launch_vendor(std::get<LinearVariant>(r.variant), *static_cast<const LinearParams*>(params))) {
    return;
  }
  const KernelVariant& compiled = slots_[static_cast<std::size_t>(r.first_slot)].instance.variant;
  const int slot = r.first_slot + form_of(compiled, params);
  if (is_preparing_) return wanted_.push_back(slot);
  launch_own(r.name, slot, params, num_work);
}

std::vector<int> JitDevice::slots_of(const std::function<void()>& launches) {
  check_not_recording("prepare kernels");
  wanted_.clear();
  {
    const Raised preparing(is_preparing_);
    launches();
  }
  std::vector<int> slots = std::exchange(wanted_, {});
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  return slots;
}

JitKernel JitDevice::choose_kernel(const KernelInstance& instance) const {
  const auto problem = attention_class(instance);
  return make_kernel(instance, *parts_.rules, problem ? &attention_.store().of(*problem).tiles : nullptr);
}

// Loads a kernel with tiles that may be used later. Empty, or why it cannot be used.
std::string JitDevice::keep_spare(int idx, const AttentionTiles& tiles, const JitKernel& kernel,
                                  const KernelCompiler::Outcome& outcome) {
  Slot& slot = slots_[static_cast<std::size_t>(idx)];
  const bool is_in_use = attention_.store().of(*attention_class(slot.instance)).tiles == tiles;
  const auto is_same = [&](const Spare& spare) { return spare.slot == idx && spare.tiles == tiles; };
  try {
    if (outcome.error != nullptr) std::rethrow_exception(outcome.error);
    if (is_in_use ? slot.code.function != nullptr : std::any_of(spare_.begin(), spare_.end(), is_same))
      return {};
    const GpuCode code = api_->load(kernel, outcome.kernel, parts_.compiler.compiler_text());
    if (is_in_use) {
      slot.kernel = kernel;
      slot.code = code;
    } else {
      spare_.push_back({idx, tiles, kernel, code});
    }
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

void JitDevice::load(std::vector<int> slots, const CompileProgress& progress) {
  std::erase_if(slots,
                [&](int slot) { return slots_[static_cast<std::size_t>(slot)].code.function != nullptr; });
  if (slots.empty()) return;
  std::vector<JitKernel> missing;
  for (const int slot : slots)
    missing.push_back(choose_kernel(slots_[static_cast<std::size_t>(slot)].instance));
  int num_done = 0;
  const auto report = [&](const CompiledKernel&, bool) {
    if (progress) progress(++num_done, static_cast<int>(missing.size()));
  };
  const std::vector<CompiledKernel> compiled = parts_.compiler.get(missing, parts_.architecture, report);
  api_->bind();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots_[static_cast<std::size_t>(slots[i])];
    slot.code = api_->load(missing[i], compiled[i], parts_.compiler.compiler_text());
    slot.kernel = std::move(missing[i]);
  }
}

void JitDevice::launch_own(KernelName name, int idx, const void* params, int num_work) {
  if (slots_[static_cast<std::size_t>(idx)].code.function == nullptr) load({idx});
  const Slot& slot = slots_[static_cast<std::size_t>(idx)];
  const int num_items = num_work_items(name, slot.kernel, params, num_work);
  if (num_items <= 0) return;
  const bool persistent = slot.kernel.persistent;
  const int most = persistent ? attention_.programs_at_once(slot.kernel.shape.blocks_per_unit) : kMaxBlocks;
  int* counters = persistent ? counters_->as<int>() : nullptr;
  void* args[] = {const_cast<void*>(params), &counters};
  api_->launch(slot.kernel, slot.code, std::min(num_items, most), args);
}

bool JitDevice::launch_vendor(const LinearVariant& variant, const LinearParams& p) {
  if (p.num_rows <= kOwnLinearRows || p.batch_invariant != 0 || !parts_.open_vendor) return false;
  if (!is_vendor_asked_for_) {
    is_vendor_asked_for_ = true;
    vendor_ = parts_.open_vendor();
  }
  if (vendor_ == nullptr) return false;
  return is_preparing_ ? vendor_->can_do(variant, p) : vendor_->run(variant, p);
}

}  // namespace quire
