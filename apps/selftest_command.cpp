// quire selftest: every kernel against the float64 oracle, on this machine.
#include "apps/console.h"
#include "apps/device_flags.h"
#include "base/check.h"
#include "selftest/selftest.h"
#include "targets/cpu/levels.h"

namespace quire {
namespace {

struct SelftestFlags {
  DeviceFlags device;
  SelftestOptions options;
  bool quick = false;
};

constexpr double kQuickScale = 0.1;

// The levels to test: the one asked for, or with "all" every one that this machine has.
std::vector<std::string> levels_of(const SelftestFlags& flags) {
  if (flags.device.options.setting("cpu.isa") != "all") return {flags.device.options.setting("cpu.isa")};
  QUIRE_CHECK(flags.device.device == "cpu", "--cpu-isa all needs --device cpu, got {}", flags.device.device);
  std::vector<std::string> names;
  for (const CpuLevel& level : cpu_levels()) {
    if (level.present) names.emplace_back(level.name);
  }
  return names;
}

SelftestReport run_level(const Program& program, const SelftestFlags& flags, const std::string& level) {
  DeviceFlags device_flags = flags.device;
  device_flags.options.settings["cpu.isa"] = level;
  const auto device = program.targets.open(device_flags.device, device_flags.options);
  SelftestOptions options = flags.options;
  if (flags.quick) options.scale *= kQuickScale;
  Progress progress("selftest");
  options.progress = [&](double fraction, const std::string& what) { progress.update(fraction, what); };
  const SelftestReport report = run_selftest(*device, options);
  progress.finish();
  print_now(fmt::format("{}, seed {}\n{}", describe(device->caps()), options.seed, to_table(report)));
  return report;
}

int selftest(const Program& program, const SelftestFlags& flags) {
  bool has_passed = true;
  for (const std::string& level : levels_of(flags)) has_passed &= run_level(program, flags, level).passed();
  print_now(has_passed ? paint("selftest passed", Color::kGreen, 1) + "\n"
                       : paint("selftest FAILED", Color::kRed, 1) +
                             ": please report the lines above with the output of quire info\n");
  return has_passed ? kExitOk : kExitFailure;
}

}  // namespace

void add_selftest_command(CLI::App& app, Program& program) {
  CLI::App& command =
      *app.add_subcommand("selftest", "Check every kernel and feature against float64 on this machine");
  command.footer(R"(
Random inputs from a seed; memory that must not be read holds NaN. The table shows the worst error of each check and
the bound it has to keep. Exit code 1 if any check fails.

Examples:
  quire selftest
  quire selftest --cpu-isa all         every instruction-set level that this machine has
  quire selftest --quick --seed 42
  quire selftest --kernel rope         one kernel; the table's first column names them
  quire selftest --device cuda --max-programs 3
  compute-sanitizer --tool racecheck quire selftest --device cuda --scale 0.01 --lane-arrivals

compute-sanitizer's racecheck does not follow one lane that arrives for its warp, and reports races that are none.)");
  const auto flags = std::make_shared<SelftestFlags>();
  command.add_flag("--quick", flags->quick, "A tenth of the cases");
  command.add_option("--kernel", flags->options.kernel, "Only this kernel's checks (default: all)")
      ->type_name("NAME");
  command.add_option("--seed", flags->options.seed, "Of the random inputs")->capture_default_str();
  command.add_option("--scale", flags->options.scale, "Number of cases, relative to the usual one")
      ->check(CLI::Range(0.001, 1000.0))
      ->capture_default_str();
  command
      .add_option("--max-programs", flags->device.options.settings["cuda.max_programs"],
                  "Blocks of a GPU at the same time, 0 = all; with few each has several items")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_flag("--lane-arrivals", flags->device.options.settings["cuda.lane_arrivals"],
                   "Each lane of a GPU arrives at barriers itself, as racecheck needs");
  add_device_flags(command, flags->device);
  command.callback(
      [&program, flags] { program.action = [&program, flags] { return selftest(program, *flags); }; });
}

}  // namespace quire
