#include "targets/cuda/kernel_compiler.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <regex>
#include <thread>

#include "base/check.h"
#include "targets/cuda/driver.h"

namespace quire {
namespace {

constexpr int kLeastSm = 80;
constexpr int kFamilies[] = {80, 86, 89, 90, 100, 120};

JitKey digest_of_texts() {
  std::vector<std::string_view> parts;
  for (const NamedText& text : embedded_kernel_text()) {
    parts.emplace_back(text.name);
    parts.push_back(text.text);
  }
  return make_jit_key(parts);
}

}  // namespace

std::string architecture_of(int sm, std::span<const int> chips) {
  QUIRE_CHECK_KIND(kUnsupported, sm >= kLeastSm, "compute capability {}.{}; the kernels need {}.{}", sm / 10,
                   sm % 10, kLeastSm / 10, kLeastSm % 10);
  int best = 0;
  for (const int chip : chips) {
    if (chip / 10 == sm / 10 && chip <= sm) best = std::max(best, chip);
  }
  QUIRE_CHECK_KIND(kUnsupported, best > 0,
                   "this nvrtc does not compile for compute capability {}.{}, only for {}", sm / 10, sm % 10,
                   fmt::join(chips, ", "));
  return best == 90 ? "sm_90a" : fmt::format("sm_{}", best);
}

int sm_of(const std::string& architecture) {
  const std::string digits =
      architecture.starts_with("sm_") ? architecture.substr(3, architecture.size() - 3) : "";
  const std::size_t num_digits = std::min(digits.find_first_not_of("0123456789"), digits.size());
  const std::string suffix = digits.substr(num_digits);
  QUIRE_CHECK(num_digits >= 2 && num_digits <= 3 && (suffix.empty() || suffix == "a"),
              "an architecture is written like sm_90a, got \"{}\"", architecture);
  return std::stoi(digits.substr(0, num_digits));
}

int kernel_family(int sm) {
  const int* above = std::upper_bound(std::begin(kFamilies), std::end(kFamilies), sm);
  QUIRE_CHECK_KIND(kUnsupported, above != std::begin(kFamilies), "no kernels for sm_{}", sm);
  return above[-1];
}

KernelCompiler::KernelCompiler(const DeviceOptions& options, int max_major)
    : nvrtc_(options.nvrtc_path, max_major), cache_(options.cache_dir), text_digest_(digest_of_texts()), lane_arrivals_(options.lane_arrivals) {}

std::vector<std::string> KernelCompiler::options_of(const CudaKernel& kernel, const std::string& architecture) const {
  std::vector<std::string> options = {"--gpu-architecture=" + architecture, "--std=c++17",
                                      "--ptxas-options=-v", "-default-device"};
  options.insert(options.end(), kernel.options.begin(), kernel.options.end());
  if (lane_arrivals_) options.emplace_back("-DQUIRE_LANE_ARRIVALS");
  return options;
}

JitKey KernelCompiler::key_of(const CudaKernel& kernel, const std::string& architecture) const {
  const std::string version = nvrtc_.version();
  const std::vector<std::string> options = options_of(kernel, architecture);
  std::vector<std::string_view> parts = {
      {reinterpret_cast<const char*>(text_digest_.data()), text_digest_.size()},
      kernel.name,
      kernel.source,
      version};
  parts.insert(parts.end(), options.begin(), options.end());
  return make_jit_key(parts);
}

CompiledKernel KernelCompiler::get_one(const CudaKernel& kernel, const std::string& architecture,
                                       bool& is_from_disk, std::string& store_failure) const {
  const JitKey key = key_of(kernel, architecture);
  if (auto found = cache_.try_load(key)) {
    is_from_disk = true;
    return std::move(*found);
  }
  is_from_disk = false;
  CompiledKernel compiled = nvrtc_.compile(kernel.name + "_" + architecture, kernel.source,
                                           options_of(kernel, architecture), embedded_kernel_text());
  store_failure = cache_.store(key, compiled);
  return compiled;
}

std::vector<KernelCompiler::Outcome> KernelCompiler::try_get(std::span<const CudaKernel> kernels,
                                                             const std::string& architecture, const Report& report) {
  std::vector<Outcome> outcomes(kernels.size());
  std::atomic<std::size_t> next_idx{0};
  std::mutex mutex;  // of what follows, and of the report
  const auto work = [&] {
    for (std::size_t idx; (idx = next_idx++) < kernels.size();) {
      Outcome& outcome = outcomes[idx];
      try {
        bool is_from_disk = false;
        std::string store_failure;
        outcome.kernel = get_one(kernels[idx], architecture, is_from_disk, store_failure);
        const std::lock_guard lock(mutex);
        if (!store_failure.empty()) store_failure_ = store_failure;
        if (report) report(outcome.kernel, is_from_disk);
      } catch (...) {
        outcome.error = std::current_exception();
      }
    }
  };
  const std::size_t num_threads =
      std::min<std::size_t>(kernels.size(), std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < num_threads; ++i) threads.emplace_back(work);
  work();
  threads.clear();  // waits for them
  return outcomes;
}

std::vector<CompiledKernel> KernelCompiler::get(std::span<const CudaKernel> kernels,
                                                const std::string& architecture, const Report& report) {
  std::vector<CompiledKernel> compiled;
  for (Outcome& outcome : try_get(kernels, architecture, report)) {
    if (outcome.error != nullptr) std::rethrow_exception(outcome.error);
    compiled.push_back(std::move(outcome.kernel));
  }
  return compiled;
}

int spilled_bytes(const std::string& log) {
  static const std::regex words("(\\d+) bytes spill stores, (\\d+) bytes spill loads");
  std::smatch found;
  QUIRE_CHECK_KIND(kInternal, std::regex_search(log, found, words), "the compiler's log says nothing of spills: {}", log.substr(0, 200));
  return std::stoi(found[1]) + std::stoi(found[2]);
}

std::string present_architecture(const DeviceOptions& options, const Nvrtc& nvrtc) {
  return architecture_of(Driver::open()->facts(options.device_idx).sm, nvrtc.chips());
}

}  // namespace quire
