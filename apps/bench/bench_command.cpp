#include "apps/bench/bench_command.h"

#include "apps/console.h"

namespace quire {
namespace {

constexpr const char* kHelp = R"(
Each row is measured in rounds, with the ceilings (read bandwidth, peak of multiply-adds or dots) measured in
between, because a machine is not equally fast from one minute to the next. The best round counts for both.
fraction = time that the ceiling allows / time measured. Every row names its ceiling and over how long that
holds: burst, the first milliseconds after a rest; sustained, seconds under the limits of power and heat, for
work that takes a GPU more than 0.1 s.

Examples:
  quire bench ceilings
  quire bench attention 32q1s2k 2q2k_8q1s1k --json attention.json
  quire bench linear --shape 1x4096x4096,512x4096x4096
  quire bench latency --shape llama-1b --prompt-len 512
  quire bench stall --prompt-len 4000 --output-len 96
  quire bench scheduler
  quire bench serve --rate 1,2,4)";

}  // namespace

void add_bench_flags(CLI::App& command, BenchFlags& flags) {
  command.add_option("--json", flags.json_path, "Also write rows, ceilings and machine to this file")
      ->type_name("FILE");
  command.add_option("--repeat", flags.num_rounds, "Rounds for each row")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  add_device_flags(command, flags.device);
}

void add_bench_command(CLI::App& app, Program& program) {
  CLI::App& bench = *app.add_subcommand("bench", "Measure, as a fraction of what the machine can do");
  bench.footer(kHelp);
  bench.require_subcommand(1);
  add_bench_ceilings(bench, program);
  add_bench_attention(bench, program);
  add_bench_layers(bench, program);
  add_bench_linear(bench, program);
  add_bench_latency(bench, program);
  add_bench_throughput(bench, program);
  add_bench_stall(bench, program);
  add_bench_scheduler(bench, program);
  add_bench_serve(bench, program);
}

const std::vector<std::string>& dtype_names() {
  static const std::vector<std::string> names = {"bf16", "f16", "f32"};
  return names;
}

DType dtype_of(const std::string& name) {
  return name == "f32" ? DType::kF32 : name == "f16" ? DType::kF16 : DType::kBF16;
}

}  // namespace quire
