// The subcommands of `quire bench`.
#pragma once

#include <memory>
#include <string>

#include "apps/bench/bench_report.h"
#include "apps/command.h"
#include "apps/device_flags.h"
#include "measure/random_buffer.h"

namespace quire {

// What every benchmark takes.
struct BenchFlags {
  DeviceFlags device;
  std::string json_path;
  int num_rounds = 10;
};

void add_bench_flags(CLI::App& command, BenchFlags& flags);

void add_bench_ceilings(CLI::App& bench, Program& program);
void add_bench_attention(CLI::App& bench, Program& program);
void add_bench_layers(CLI::App& bench, Program& program);
void add_bench_linear(CLI::App& bench, Program& program);
void add_bench_latency(CLI::App& bench, Program& program);
void add_bench_throughput(CLI::App& bench, Program& program);
void add_bench_stall(CLI::App& bench, Program& program);
void add_bench_scheduler(CLI::App& bench, Program& program);
void add_bench_serve(CLI::App& bench, Program& program);

// A flag's text ("f32", "f16" or "bf16") as a type; the flag must be checked with `dtype_names`.
DType dtype_of(const std::string& name);
const std::vector<std::string>& dtype_names();

}  // namespace quire
