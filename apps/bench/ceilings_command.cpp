#include "apps/bench/bench_command.h"

namespace quire {
namespace {

int run_ceilings(const Program& program, const BenchFlags& flags) {
  const std::unique_ptr<Device> device = open_device(program, flags.device);
  CeilingMeter meter(*device);
  for (int round = 0; round < flags.num_rounds; ++round) {
    meter.measure_read();
    meter.measure_fma();
    meter.measure_dot();
  }
  const Ceilings& best = meter.best();
  BenchReport report(device->caps());
  constexpr double kSecond = 1e6;
  report.add({"read", kSecond, {best.read, 0}, "read", 1, {}});
  report.add({"fma (f32)", kSecond, {0, best.fma}, "fma", 1, {}});
  report.add({device->caps().has_pair_dot ? "dot (bf16)" : "dot (bf16, by f32 fma)",
              kSecond,
              {0, best.dot},
              "dot",
              1,
              {}});
  report.finish(best, flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_ceilings(CLI::App& bench, Program& program) {
  CLI::App& command =
      *bench.add_subcommand("ceilings", "Read bandwidth, f32 multiply-add and bf16 dot peaks");
  command.footer(R"(
Reads 512 MB; multiplies in registers. Rows say what one second does at the best of the rounds.

Examples:
  quire bench ceilings
  quire bench ceilings --threads 1 --cpu-isa v2 --json ceilings.json)");
  const auto flags = std::make_shared<BenchFlags>();
  add_bench_flags(command, *flags);
  command.callback(
      [&program, flags] { program.action = [&program, flags] { return run_ceilings(program, *flags); }; });
}

}  // namespace quire
