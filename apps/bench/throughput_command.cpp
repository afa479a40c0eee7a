#include <algorithm>

#include "apps/bench/model_under_test.h"
#include "apps/console.h"
#include "base/check.h"

namespace quire {
namespace {

struct ThroughputFlags : ModelBenchFlags {
  int num_requests = 32, max_num_seqs = 256;
};

// What one pass over all requests took.
struct Pass {
  double time_s = 0;
  std::vector<LaunchCost> steps;
  LaunchCost total;
};

Pass run_pass(LoadedEngine& model, const ThroughputFlags& flags, int pass_idx) {
  Device& device = model.runner->device();
  SamplingParams params;
  params.temperature = 0;
  params.ignore_eos = true;
  params.max_tokens = flags.output_len;
  const auto first_id = static_cast<RequestId>(pass_idx) * static_cast<RequestId>(flags.num_requests) + 1;
  for (int i = 0; i < flags.num_requests; ++i) {
    auto prompt = random_tokens(model.config.vocab_size, flags.prompt_len, static_cast<std::uint32_t>(i));
    const SamplingParams checked = model.core->check(prompt, params);
    model.core->submit(first_id + static_cast<RequestId>(i), std::move(prompt), checked);
  }
  const double num_tokens = double(flags.num_requests) * flags.output_len;
  double num_done = 0;
  Progress progress("throughput");
  device.take_cost();
  Pass pass;
  const double start_s = now_s();
  while (model.core->has_work()) {
    for (const StepOutput& output : model.core->step()) {
      QUIRE_CHECK_KIND(kInternal, output.output.finish_reason != FinishReason::kError, "request {}: {}",
                       output.id, output.output.error);
      num_done += static_cast<double>(output.output.token_ids.size());
    }
    pass.steps.push_back(device.take_cost());
    pass.total.bytes += pass.steps.back().bytes;
    pass.total.flops += pass.steps.back().flops;
    progress.update(num_done / num_tokens);
  }
  pass.time_s = now_s() - start_s;
  return pass;
}

// Each step is bound by what binds it: prefill by arithmetic, decode by reading.
double bound_s(const Pass& pass, double read, double compute) {
  double total = 0;
  for (const LaunchCost& cost : pass.steps) total += std::max(cost.bytes / read, cost.flops / compute);
  return total;
}

int run_throughput(const ThroughputFlags& flags) {
  LoadedEngine model = load_model_under_test(flags, std::min(flags.num_requests, flags.max_num_seqs));
  Device& device = model.runner->device();
  CeilingMeter meter(device);
  Pass best;
  for (int round = 0; round < flags.num_rounds; ++round) {
    Pass pass = run_pass(model, flags, round);
    if (best.steps.empty() || pass.time_s < best.time_s) best = std::move(pass);
    const CeilingSpan span = span_of(device, best.time_s);
    for (int i = 0; i < (span == CeilingSpan::kBurst ? 3 : 1); ++i) {
      meter.measure_read(span);
      meter.measure_compute_of(model.config.dtype, span);
    }
  }
  const bool is_dot = model.config.dtype == DType::kBF16;
  const CeilingSpan span = span_of(device, best.time_s);
  const CeilingRates& rates = meter.best().of(span);
  const double read = rates.read, compute = rates.compute_of(model.config.dtype);
  const bool is_read_bound = best.total.bytes / read >= best.total.flops / compute;
  const double num_output = double(flags.num_requests) * flags.output_len,
               num_prompt = double(flags.num_requests) * flags.prompt_len;
  BenchReport report(device.caps());
  report.add({fmt::format("{} {} x ({} + {})", name_of(flags), flags.num_requests, flags.prompt_len,
                          flags.output_len),
              best.time_s * 1e6,
              best.total,
              is_read_bound ? "read"
              : is_dot      ? "dot"
                            : "fma",
              bound_s(best, read, compute) / best.time_s,
              {{"us_per_token", best.time_s * 1e6 / num_output},
               {"output_tokens_per_s", num_output / best.time_s},
               {"total_tokens_per_s", (num_output + num_prompt) / best.time_s}},
              span});
  report.finish(meter.best(), flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_throughput(CLI::App& bench, Program& program) {
  CLI::App& command = *bench.add_subcommand("throughput", "Many requests through the whole engine");
  command.footer(R"(
All requests arrive at once; the engine schedules, computes and samples until the last is done. bytes and flops are the
sums over all launches; fraction is the sum over the steps of the time that each step's ceiling allows / time
measured. On a GPU the ceilings are those that it sustains, if all requests take more than 0.1 s; else those of a
burst.

Examples:
  quire bench throughput --num-requests 64 --prompt-len 256 --output-len 64
  quire bench throughput --shape llama-1b --num-requests 8 --max-num-seqs 4 --json throughput.json)");
  const auto flags = std::make_shared<ThroughputFlags>();
  command.add_option("--num-requests", flags->num_requests, "Requests")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--max-num-seqs", flags->max_num_seqs, "Requests that run at the same time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  add_model_bench_flags(command, *flags);
  command.callback([&program, flags] { program.action = [flags] { return run_throughput(*flags); }; });
}

}  // namespace quire
