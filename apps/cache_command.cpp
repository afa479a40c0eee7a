// quire cache: kernels that were compiled for GPUs and are kept on disk.
#include "apps/console.h"
#include "apps/device_flags.h"
#include "base/check.h"
#include "targets/cuda/chips.h"
#include "targets/jit/kernel_forms.h"

namespace quire {
namespace {

struct CacheFlags {
  DeviceOptions options;
  std::vector<std::string> architectures;
  std::string name_part;  // of the kernels to compile
};

JitCache open_cache(const CacheFlags& flags) {
  QUIRE_CHECK(!flags.options.cache_dir.empty(),
              "no folder for kernels: neither HOME nor XDG_CACHE_HOME is set; name one with "
              "--kernel-cache");
  return JitCache(flags.options.cache_dir);
}

int list(const CacheFlags& flags) {
  const JitCache cache = open_cache(flags);
  const std::vector<JitCacheEntry> entries = cache.list();
  std::string text;
  double total_bytes = 0;
  for (const JitCacheEntry& entry : entries) {
    total_bytes += static_cast<double>(entry.file_bytes);
    text += fmt::format("{:<48} {:>9}  {}\n", entry.name, human_bytes(static_cast<double>(entry.file_bytes)),
                        entry.path.filename().string().substr(0, 12));
  }
  print_now(text + fmt::format("{} kernel{} in {}, {}\n", entries.size(), entries.size() == 1 ? "" : "s",
                               cache.folder().string(), human_bytes(total_bytes)));
  return kExitOk;
}

int clear(const CacheFlags& flags) {
  const JitCache cache = open_cache(flags);
  const int num_removed = cache.clear();
  print_now(fmt::format("{} kernel{} removed from {}\n", num_removed, num_removed == 1 ? "" : "s",
                        cache.folder().string()));
  return kExitOk;
}

void fill_one(KernelCompiler& compiler, const std::string& architecture, const std::string& name_part) {
  const auto rules = cuda_rules(kernel_family(sm_of(architecture)));
  std::vector<JitKernel> kernels;
  for (const KernelInstance& instance : all_instances(*rules)) {
    JitKernel kernel = make_kernel(instance, *rules);
    if (kernel.name.find(name_part) != std::string::npos) kernels.push_back(std::move(kernel));
  }
  QUIRE_CHECK_KIND(kNotFound, !kernels.empty(), "no kernel has \"{}\" in its name", name_part);
  int num_done = 0, num_found = 0;
  const double start_s = now_s();
  Progress progress("compiling for " + architecture);
  compiler.get(kernels, architecture, [&](const CompiledKernel& kernel, bool is_from_disk) {
    num_found += is_from_disk;
    progress.update(++num_done / static_cast<double>(kernels.size()), kernel.name);
  });
  progress.finish();
  QUIRE_CHECK_KIND(kExhausted, compiler.store_failure().empty(), "{}", compiler.store_failure());
  print_now(fmt::format("{}: kernels: {}, compiled by {}: {} in {:.1f} s, from disk: {}\n",
                        architecture, kernels.size(), compiler.compiler_text(), num_done - num_found,
                        now_s() - start_s, num_found));
}

int fill(const CacheFlags& flags) {
  open_cache(flags);
  for (const std::string& architecture : flags.architectures) kernel_family(sm_of(architecture));
  KernelCompiler compiler = make_cuda_compiler(flags.options);
  std::vector<std::string> architectures = flags.architectures;
  if (architectures.empty()) architectures = {present_architecture(flags.options)};
  for (const std::string& architecture : architectures) fill_one(compiler, architecture, flags.name_part);
  return kExitOk;
}

CLI::App& add_command(CLI::App& cache, Program& program, const char* name, const char* words,
                      const std::shared_ptr<CacheFlags>& flags, int (*action)(const CacheFlags&)) {
  CLI::App& command = *cache.add_subcommand(name, words);
  command.footer(fmt::format("\nExamples:\n  quire cache {}", name));
  add_kernel_cache_flags(command, flags->options);
  command.callback(
      [&program, flags, action] { program.action = [flags, action] { return action(*flags); }; });
  return command;
}

}  // namespace

void add_cache_command(CLI::App& app, Program& program) {
  CLI::App& cache = *app.add_subcommand("cache", "Kernels compiled for GPUs: list, clear, fill ahead");
  cache.footer(R"(
A kernel is compiled when it is first needed and kept under a key of its text, its options, the compiler's version and the
chip. Filling needs NVIDIA's run-time compiler but no GPU: a package or an image can carry the result.

Examples:
  quire cache list
  quire cache clear
  quire cache fill --arch sm_90a,sm_80)");
  cache.require_subcommand(1);
  const auto flags = std::make_shared<CacheFlags>();
  add_command(cache, program, "list", "What is kept", flags, list);
  add_command(cache, program, "clear", "Remove it all", flags, clear);
  CLI::App& fill_command = add_command(cache, program, "fill", "Compile every kernel now", flags, fill);
  fill_command
      .add_option("--arch", flags->architectures,
                  "Architectures, joined by commas (default: the GPU's that is here)")
      ->delimiter(',')
      ->type_name("ARCH");
  fill_command.add_option("--only", flags->name_part, "Kernels with this in their name, such as bf16_d128");
}

}  // namespace quire
