#include "targets/jit/kernel_compiler.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace quire {
namespace {

JitKey digest_of(std::span<const NamedText> texts) {
  std::vector<std::string_view> parts;
  for (const NamedText& text : texts) {
    parts.emplace_back(text.name);
    parts.push_back(text.text);
  }
  return make_jit_key(parts);
}

}  // namespace

KernelCompiler::KernelCompiler(std::shared_ptr<const RuntimeCompiler> compiler,
                               std::span<const NamedText> texts, const std::string& cache_dir,
                               std::vector<std::string> extra_options)
    : compiler_(std::move(compiler)),
      texts_(texts),
      cache_(cache_dir),
      text_digest_(digest_of(texts)),
      extra_options_(std::move(extra_options)) {}

std::vector<std::string> KernelCompiler::options_of(const JitKernel& kernel,
                                                    const std::string& architecture) const {
  std::vector<std::string> options = compiler_->options_for(architecture);
  options.insert(options.end(), kernel.shape.options.begin(), kernel.shape.options.end());
  options.insert(options.end(), extra_options_.begin(), extra_options_.end());
  return options;
}

JitKey KernelCompiler::key_of(const JitKernel& kernel, const std::string& architecture) const {
  const std::string version = compiler_->version();
  const std::vector<std::string> options = options_of(kernel, architecture);
  std::vector<std::string_view> parts = {
      {reinterpret_cast<const char*>(text_digest_.data()), text_digest_.size()},
      kernel.name,
      kernel.source,
      version};
  parts.insert(parts.end(), options.begin(), options.end());
  return make_jit_key(parts);
}

CompiledKernel KernelCompiler::get_one(const JitKernel& kernel, const std::string& architecture,
                                       bool& is_from_disk, std::string& store_failure) const {
  const JitKey key = key_of(kernel, architecture);
  if (auto found = cache_.try_load(key)) {
    is_from_disk = true;
    return std::move(*found);
  }
  is_from_disk = false;
  CompiledKernel compiled = compiler_->compile(kernel.name + "_" + architecture, kernel.source,
                                               options_of(kernel, architecture), texts_);
  store_failure = cache_.store(key, compiled);
  return compiled;
}

std::vector<KernelCompiler::Outcome> KernelCompiler::try_get(std::span<const JitKernel> kernels,
                                                             const std::string& architecture,
                                                             const Report& report) {
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

std::vector<CompiledKernel> KernelCompiler::get(std::span<const JitKernel> kernels,
                                                const std::string& architecture, const Report& report) {
  std::vector<CompiledKernel> compiled;
  for (Outcome& outcome : try_get(kernels, architecture, report)) {
    if (outcome.error != nullptr) std::rethrow_exception(outcome.error);
    compiled.push_back(std::move(outcome.kernel));
  }
  return compiled;
}

}  // namespace quire
