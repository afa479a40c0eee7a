#include "device/device.h"

#include <charconv>
#include <chrono>

#include "base/check.h"
#include "device/memory_limit.h"

namespace quire {
namespace {

class FunctionGraph : public Graph {
 public:
  explicit FunctionGraph(std::function<void()> launches) : launches_(std::move(launches)) {}
  void launch() override { launches_(); }

 private:
  std::function<void()> launches_;
};

class InstantCopy : public HostCopy {
 public:
  InstantCopy(Device& device, std::size_t max_bytes) : device_(device), bytes_(max_bytes) {}
  void start(const std::byte* from, std::size_t bytes) override {
    QUIRE_CHECK_KIND(kInternal, bytes <= bytes_.size(), "a copy of {} bytes into {}", bytes, bytes_.size());
    device_.copy_to_host(bytes_.data(), from, bytes);
  }
  const std::byte* wait() override { return bytes_.data(); }

 private:
  Device& device_;
  std::vector<std::byte> bytes_;
};

}  // namespace

std::unique_ptr<HostCopy> Device::make_host_copy(std::size_t max_bytes) {
  return std::make_unique<InstantCopy>(*this, max_bytes);
}

// Free is what the kernel says can be had without swapping and without leaving the process's control groups.
DeviceMemory Device::memory() const {
  const MemoryLimit host = host_memory();
  DeviceMemory memory;
  memory.is_host = true;
  memory.total_bytes = host.total_bytes;
  memory.free_bytes = host.free_bytes;
  return memory;
}

std::unique_ptr<Graph> Device::capture(const std::function<void()>& launches) {
  return std::make_unique<FunctionGraph>(launches);
}

double Device::time_us(const std::function<void()>& work) {
  synchronize();
  const auto start = std::chrono::steady_clock::now();
  work();
  synchronize();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

void Device::prepare(const std::function<void()>&, const CompileProgress&) {}

KernelHandle Device::resolve(const KernelVariant& variant) {
  const auto known = handles_.find(variant);
  if (known != handles_.end()) return {known->second};
  add_kernel(variant);
  variants_.push_back(variant);
  return {handles_.emplace(variant, static_cast<int>(variants_.size()) - 1).first->second};
}

const KernelVariant& Device::variant_of(KernelHandle kernel) const {
  const auto idx = static_cast<std::size_t>(kernel.idx);
  QUIRE_CHECK_KIND(kInternal, kernel.is_resolved() && idx < variants_.size(),
                   "no kernel has handle {}; there are {}", kernel.idx, variants_.size());
  return variants_[idx];
}

void Device::launch(KernelHandle kernel, const void* params, int num_work, LaunchCost cost) {
  if (const auto* variant = std::get_if<AttentionVariant>(&variant_of(kernel))) {
    const unsigned mods = static_cast<const AttentionParams*>(params)->mods;
    QUIRE_CHECK_KIND(kInternal, (mods & ~variant->mods) == 0,
                     "a launch asks for score mods {}, its kernel ({}) has {}", mods, to_string(*variant),
                     variant->mods);
  }
  start_kernel(kernel, params, num_work, cost);
}

void Device::check_params(KernelHandle kernel, std::size_t bytes) const {
  const KernelFacts& facts = facts_of(kernel_of(variant_of(kernel)));
  QUIRE_CHECK_KIND(kInternal, facts.params_bytes == bytes, "kernel {} takes {} of {} bytes, got {}",
                   facts.name, facts.params, facts.params_bytes, bytes);
}

std::string describe(const DeviceCaps& caps) {
  return fmt::format("{} ({}), {} {}{}, {}", caps.target, caps.architecture, caps.num_programs,
                     caps.target == "cpu" ? "thread" : "program", caps.num_programs == 1 ? "" : "s",
                     caps.description);
}

const std::string& DeviceOptions::setting(const std::string& name) const {
  static const std::string none;
  const auto found = settings.find(name);
  return found == settings.end() ? none : found->second;
}

int DeviceOptions::int_setting(const std::string& name, int otherwise, int least, int most) const {
  const std::string& text = setting(name);
  if (text.empty()) return otherwise;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  QUIRE_CHECK(error == std::errc() && end == text.data() + text.size() && value >= least && value <= most,
              "{} must be a number from {} to {}, got \"{}\"", name, least, most, text);
  return value;
}

bool DeviceOptions::bool_setting(const std::string& name) const {
  const std::string& text = setting(name);
  QUIRE_CHECK(text.empty() || text == "true" || text == "false", "{} must be true or false, got \"{}\"", name,
              text);
  return text == "true";
}

}  // namespace quire
