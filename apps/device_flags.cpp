#include "apps/device_flags.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "apps/console.h"

namespace quire {

CLI::Option* with_env(CLI::Option* option) {
  std::string name = "QUIRE_";
  for (const char c : option->get_lnames().at(0)) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return option->envname(name);
}

namespace {

CLI::Option* grouped(CLI::Option* option) { return with_env(option)->group("Device"); }

// $XDG_CACHE_HOME/quire or ~/.cache/quire; nothing where neither is known.
std::string default_cache_dir() {
  const auto folder = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr || *value != '/' ? std::filesystem::path() : std::filesystem::path(value);
  };
  if (const auto cache = folder("XDG_CACHE_HOME"); !cache.empty()) return (cache / "quire").string();
  if (const auto home = folder("HOME"); !home.empty()) return (home / ".cache/quire").string();
  return {};
}

}  // namespace

void add_kernel_cache_flags(CLI::App& command, DeviceOptions& options) {
  options.cache_dir = default_cache_dir();
  grouped(command.add_option("--kernel-cache", options.cache_dir,
                             "Of kernels compiled for a GPU; \"\" = none (default: ~/.cache/quire)"))
      ->type_name("DIR");
  grouped(command.add_option("--nvrtc", options.settings["cuda.nvrtc"],
                             "libnvrtc, a file or its folder (default: the usual places)"))
      ->type_name("PATH");
}

void add_device_flags(CLI::App& command, DeviceFlags& flags) {
  grouped(command.add_option("--device", flags.device, "Processor to compute on; see quire info"))
      ->capture_default_str();
  grouped(command.add_option("--cpu-isa", flags.options.settings["cpu.isa"],
                             "Instruction-set level of the CPU kernels (default: the best here)"));
  flags.options.settings["cpu.threads"] = "0";
  grouped(
      command.add_option("--threads", flags.options.settings["cpu.threads"], "CPU threads; 0 = one a core"))
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  grouped(command.add_option("--device-idx", flags.options.device_idx, "Which of several GPUs"))
      ->check(CLI::Range(0, 1023))
      ->capture_default_str();
  add_kernel_cache_flags(command, flags.options);
  grouped(command.add_option("--cublas", flags.options.settings["cuda.cublas"],
                             "libcublasLt, a file or its folder (default: the usual places)"))
      ->type_name("PATH");
  grouped(command.add_flag("--own-kernels-only", flags.options.own_kernels_only,
                           "Also where a vendor's library is present"));
}

void set_device(const DeviceFlags& flags, EngineOptions& options) {
  options.device = flags.device;
  options.cpu_isa = flags.options.setting("cpu.isa");
  options.num_threads = flags.options.int_setting("cpu.threads", 0, 0, 1024);
  options.device_idx = flags.options.device_idx;
  options.kernel_cache_dir = flags.options.cache_dir;
  options.nvrtc_path = flags.options.setting("cuda.nvrtc");
  options.cublas_path = flags.options.setting("cuda.cublas");
  options.own_kernels_only = flags.options.own_kernels_only;
}

std::unique_ptr<Device> open_device(const Program& program, const DeviceFlags& flags) {
  std::unique_ptr<Device> device = program.targets.open(flags.device, flags.options);
  log("device: {}", describe(device->caps()));
  return device;
}

}  // namespace quire
