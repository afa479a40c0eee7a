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
  constexpr CeilingSpan kInstant = CeilingSpan::kInstant, kSustained = CeilingSpan::kSustained;
  meter.measure_fma(kInstant);
  meter.measure_dot(kInstant);
  meter.measure_read(kSustained);
  meter.measure_fma(kSustained);
  meter.measure_dot(kSustained);
  const Ceilings& best = meter.best();
  BenchReport report(device->caps());
  constexpr double kSecond = 1e6;
  const char* dot_name = device->caps().has_pair_dot ? "dot (bf16)" : "dot (bf16, by f32 fma)";
  for (const CeilingSpan span : {kInstant, CeilingSpan::kBurst, kSustained}) {
    const CeilingRates& rates = best.of(span);
    if (rates.read > 0) report.add({"read", kSecond, {rates.read, 0}, "read", 1, {}, span});
    report.add({"fma (f32)", kSecond, {0, rates.fma}, "fma", 1, {}, span});
    report.add({dot_name, kSecond, {0, rates.dot}, "dot", 1, {}, span});
  }
  report.set("read", {{"bytes", meter.read_bytes()}, {"programs", meter.num_readers()}});
  report.finish(best, flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_ceilings(CLI::App& bench, Program& program) {
  CLI::App& command =
      *bench.add_subcommand("ceilings", "Read bandwidth, f32 multiply-add and bf16 dot peaks");
  command.footer(R"(
Reads memory many times larger than the caches (on a GPU 4 GiB, if a quarter of what is free allows it);
multiplies in registers. Rows say what one second does: instantaneous, for tens of microseconds after a rest,
without what a launch costs; burst, for the first milliseconds, the best of the rounds; sustained, in the
second of two seconds, under the limits of power and heat.

Examples:
  quire bench ceilings
  quire bench ceilings --threads 1 --cpu-isa v2 --json ceilings.json)");
  const auto flags = std::make_shared<BenchFlags>();
  add_bench_flags(command, *flags);
  command.callback(
      [&program, flags] { program.action = [&program, flags] { return run_ceilings(program, *flags); }; });
}

}  // namespace quire
