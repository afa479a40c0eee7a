#include <algorithm>
#include <chrono>
#include <random>

#include "apps/bench/bench_command.h"
#include "apps/console.h"
#include "attention/attention.h"
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

// What the host does for attention before a step of decodes: work items for Llama 8B's heads, and their copy to the device.
BenchRow measure_plan(Device& device, const SchedulerBenchConfig& config, int num_requests) {
  AttentionDesc desc;
  desc.num_qo_heads = 32;
  desc.num_kv_heads = 8;
  desc.head_dim_qk = desc.head_dim_vo = 128;
  desc.page_size = config.page_size;
  desc.sm_scale = default_sm_scale(desc.head_dim_qk);
  std::mt19937 random(1);
  std::uniform_int_distribution<int> any(1, 2 * config.context_len - 1);
  std::vector<std::int32_t> query_len(static_cast<std::size_t>(num_requests), 1), kv_len;
  for (int i = 0; i < num_requests; ++i) kv_len.push_back(any(random));
  const auto op = choose_backend("unified", desc, device).backend->make(device, desc);
  std::vector<double> us;
  for (int i = 0; i < config.num_steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    op->plan({query_len, kv_len});
    us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(us.begin(), us.end());
  return {fmt::format("attention plan, {} decodes", num_requests), us[us.size() / 2], {}, "", 0, {{"p99_us", us[us.size() * 99 / 100]}}};
}

int run_scheduler(const Program& program, const SchedulerFlags& flags) {
  const std::unique_ptr<Device> device = open_device(program, flags.device);  // for the machine's name and what plans depend on
  BenchReport report(device->caps());
  for (const SchedulerStepCost& cost : measure_scheduler(flags.config)) {
    report.add({fmt::format("scheduler step, {} running", cost.num_requests),
                cost.step_us,
                {},
                "",
                0,
                {{"p99_us", cost.worst_step_us}, {"request_ns", cost.request_ns}}});
  }
  for (const int n : flags.config.num_requests) report.add(measure_plan(*device, flags.config, n));
  KvWasteConfig waste;
  waste.page_size = flags.config.page_size;
  print_waste(simulate_kv_waste(waste), report);
  report.finish({}, flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_scheduler(CLI::App& bench, Program& program) {
  CLI::App& command =
      *bench.add_subcommand("scheduler", "Cost of a scheduler step and of an attention plan, and memory that lies idle");
  command.footer(R"(
A step is: schedule, build the batch, complete it, append one token to each request. No model runs. The time is the median.
A plan cuts a batch of decodes into work items and copies them to the device, of 32/8 heads of 128.
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
