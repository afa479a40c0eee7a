#include "apps/bench/bench_command.h"
#include "apps/console.h"
#include "engine/scheduler_bench.h"

namespace quire {
namespace {

struct SchedulerFlags : BenchFlags {
  SchedulerBenchConfig config;
};

void print_waste(const KvWaste& waste, BenchReport& report) {
  print_now(
      fmt::format("kv slots wasted: {:.2f} % of the held ones (prompts of {:.0f} and outputs of {:.0f} "
                  "tokens on average, longest request {},\n"
                  "                 pages in use {:.0f} %, {} steps, {} preemptions)\n",
                  waste.unused_percent, waste.mean_prompt_len, waste.mean_output_len, waste.max_request_len,
                  waste.usage_percent, waste.num_steps, waste.num_preemptions));
  report.set("kv_waste", {{"unused_percent", waste.unused_percent},
                          {"usage_percent", waste.usage_percent},
                          {"mean_prompt_len", waste.mean_prompt_len},
                          {"mean_output_len", waste.mean_output_len},
                          {"max_request_len", waste.max_request_len},
                          {"num_steps", waste.num_steps},
                          {"num_preemptions", waste.num_preemptions}});
}

int run_scheduler(const Program& program, const SchedulerFlags& flags) {
  const std::unique_ptr<Device> device = open_device(program, flags.device);  // for the machine's name only
  BenchReport report(device->caps());
  for (const SchedulerStepCost& cost : measure_scheduler(flags.config)) {
    report.add({fmt::format("scheduler step, {} running", cost.num_requests),
                cost.step_us,
                {},
                "",
                0,
                {{"p99_us", cost.worst_step_us}, {"request_ns", cost.request_ns}}});
  }
  KvWasteConfig waste;
  waste.page_size = flags.config.page_size;
  print_waste(simulate_kv_waste(waste), report);
  report.finish({}, flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_scheduler(CLI::App& bench, Program& program) {
  CLI::App& command =
      *bench.add_subcommand("scheduler", "Cost of a scheduler step, and memory that lies idle");
  command.footer(R"(
A step is: schedule, build the batch, complete it, append one token to each request. No model runs. The time is the median.
Wasted slots are those of held pages that hold no token, on a mix of requests with heavy-tailed lengths.

Examples:
  quire bench scheduler
  quire bench scheduler --requests 256,4096 --page-size 128)");
  const auto flags = std::make_shared<SchedulerFlags>();
  command.add_option("--requests", flags->config.num_requests, "Running requests, several joined by commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command.add_option("--steps", flags->config.num_steps, "Measured steps")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command.add_option("--page-size", flags->config.page_size, "Tokens in a page")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command.add_option("--context-len", flags->config.context_len, "Mean tokens of a request")
      ->check(CLI::Range(2, 1000000))
      ->capture_default_str();
  add_bench_flags(command, *flags);
  command.callback(
      [&program, flags] { program.action = [&program, flags] { return run_scheduler(program, *flags); }; });
}

}  // namespace quire
