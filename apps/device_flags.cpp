#include "apps/device_flags.h"

#include <algorithm>
#include <cctype>

#include "apps/console.h"

namespace quire {

CLI::Option* with_env(CLI::Option* option) {
  std::string name = "QUIRE_";
  for (const char c : option->get_lnames().at(0)) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return option->envname(name);
}

void add_device_flags(CLI::App& command, DeviceFlags& flags) {
  const auto group = [](CLI::Option* option) { return with_env(option)->group("Device"); };
  group(command.add_option("--device", flags.device, "Processor to compute on; see quire info"))
      ->capture_default_str();
  group(command.add_option("--cpu-isa", flags.options.cpu_isa,
                           "Instruction-set level of the CPU kernels (default: the best here)"));
  group(command.add_option("--threads", flags.options.num_threads, "CPU threads; 0 = one a core"))
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

std::string describe(const DeviceCaps& caps) {
  return fmt::format("{} ({}), {} thread{}, {}", caps.target, caps.architecture, caps.num_programs,
                     caps.num_programs == 1 ? "" : "s", caps.description);
}

std::unique_ptr<Device> open_device(const Program& program, const DeviceFlags& flags) {
  std::unique_ptr<Device> device = program.targets.open(flags.device, flags.options);
  log("device: {}", describe(device->caps()));
  return device;
}

}  // namespace quire
