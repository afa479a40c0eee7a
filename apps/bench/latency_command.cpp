#include <algorithm>
#include <set>

#include "apps/bench/model_under_test.h"
#include "apps/console.h"
#include "attention/attention.h"
#include "base/check.h"

namespace quire {
namespace {

struct LatencyFlags : ModelBenchFlags {
  int num_seqs = 1;
};

// Keys and values that the layers of one step read, once each.
double kv_bytes(const ModelConfig& config, const StepBatch& batch) {
  double bytes = 0;
  for (const int window : config.window_lens) {
    for (std::size_t s = 0; s < batch.kv_len.size(); ++s) {
      const int query_len = batch.query_indptr[s + 1] - batch.query_indptr[s];
      const Visibility sees{1, std::min(window, kMaxContext)};
      const int keys = sees.of_rows(batch.kv_len[s] - query_len, batch.kv_len[s] - 1, batch.kv_len[s]).size();
      bytes +=
          2.0 * keys * config.num_kv_heads * config.head_dim * static_cast<double>(dtype_bytes(config.dtype));
    }
  }
  return bytes;
}

BenchRow measure_step(LoadedEngine& model, CeilingMeter& meter, const std::string& name,
                      const StepBatch& batch, int num_rounds) {
  ModelRunner& runner = *model.runner;
  runner.device().take_cost();
  runner.run(batch);
  BenchWork work;
  work.name = name;
  work.dtype = model.config.dtype;
  // Flops as the launches count them; of the bytes only what no step can do without.
  work.cost = {weight_bytes(model.config) + kv_bytes(model.config, batch), runner.device().take_cost().flops};
  work.run = [&](int) { runner.run(batch); };
  BenchRow row = measure(runner.device(), meter, work, num_rounds);
  row.more = {{"us_per_token", row.time_us / batch.num_tokens},
              {"tokens_per_s", batch.num_tokens * 1e6 / row.time_us},
              {"kv_bytes", kv_bytes(model.config, batch)},
              {"weight_bytes", weight_bytes(model.config)}};
  return row;
}

// Whole answers through the engine: the time of a token of each request, from when all of them have their first until one has its
// last. 0 if there is no such time: the answers are too short for the prompts of all.
double time_per_token_s(LoadedEngine& model, const LatencyFlags& flags, RequestId first_id) {
  SamplingParams params;
  params.temperature = 0;
  params.ignore_eos = true;
  params.max_tokens = flags.output_len;
  for (int i = 0; i < flags.num_seqs; ++i) {
    const auto prompt = random_tokens(model.config.vocab_size, flags.prompt_len, static_cast<std::uint32_t>(i));
    model.core->submit(first_id + static_cast<RequestId>(i), prompt, model.core->check(prompt, params));
  }
  std::set<RequestId> started;
  double start_s = 0, end_s = 0, num_tokens = 0;
  bool all_run = true;
  while (model.core->has_work()) {
    const bool all_started = static_cast<int>(started.size()) == flags.num_seqs, counts = all_started && all_run;
    for (const StepOutput& output : model.core->step()) {
      QUIRE_CHECK_KIND(kInternal, output.output.finish_reason != FinishReason::kError, "request {}: {}", output.id,
                       output.output.error);
      started.insert(output.id);
      if (counts) num_tokens += static_cast<double>(output.output.token_ids.size());
      all_run &= !output.output.is_last();
    }
    if (!all_started) start_s = now_s();
    if (end_s == 0 && !all_run) end_s = now_s();
  }
  return num_tokens > 0 ? (end_s - start_s) * flags.num_seqs / num_tokens : 0;
}

BenchRow measure_answers(LoadedEngine& model, CeilingMeter& meter, const LatencyFlags& flags, const BenchRow& decode) {
  double best_s = 1e300, read = 0;
  const CeilingSpan span = span_of(meter.device(), decode.time_us * 1e-6 * flags.output_len);
  for (int round = 0; round < flags.num_rounds + 1; ++round) {
    const int num_reads = span == CeilingSpan::kBurst ? 3 : round == 0 ? 1 : 0;
    for (int i = 0; i < num_reads; ++i) read = std::max(read, meter.measure_read(span));
    best_s = std::min(best_s, time_per_token_s(model, flags, 1 + static_cast<RequestId>(round * flags.num_seqs)));
  }
  const double floor_s = decode.cost.bytes / read;
  return {fmt::format("{} answers {} x {}", name_of(flags), flags.num_seqs, flags.output_len), best_s * 1e6, decode.cost, "read",
          floor_s / best_s,
          {{"floor_us", floor_s * 1e6},
           {"over_floor", best_s / floor_s},
           {"tokens_per_s", flags.num_seqs / best_s}},
          span};
}

int run_latency(const LatencyFlags& flags) {
  LoadedEngine model = load_model_under_test(flags, flags.num_seqs);
  Device& device = model.runner->device();
  CeilingMeter meter(device);
  BenchReport report(device.caps());
  const int kv_len = flags.prompt_len + flags.output_len / 2;
  const BenchRow prefill = measure_step(
      model, meter, fmt::format("{} prefill {}q{}", name_of(flags), flags.num_seqs, flags.prompt_len),
      make_step(model, flags.num_seqs, flags.prompt_len, flags.prompt_len), flags.num_rounds);
  report.add(prefill);
  const BenchRow decode =
      measure_step(model, meter, fmt::format("{} decode {}q1s{}", name_of(flags), flags.num_seqs, kv_len),
                   make_step(model, flags.num_seqs, 1, kv_len), flags.num_rounds);
  report.add(decode);
  const BenchRow answers = measure_answers(model, meter, flags, decode);
  if (answers.time_us > 0) report.add(answers);
  print_now(fmt::format("an answer of {} tokens to a prompt of {}: first token after {}, all after {}\n",
                        flags.output_len, flags.prompt_len, human_time(prefill.time_us),
                        human_time(prefill.time_us + decode.time_us * (flags.output_len - 1))));
  report.finish(meter.best(), flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_latency(CLI::App& bench, Program& program) {
  CLI::App& command = *bench.add_subcommand("latency", "One step of a whole model: prefill, and decode");
  command.footer(R"(
The prefill row computes the whole prompt in one step; the decode row one token of each request, in the middle of the
answer; both wait for the likeliest tokens of one step. The answers row runs requests through the whole engine, and is the
time of a token once all have their first: floor_us is what reading its bytes takes at the read ceiling.
bytes = weights + keys and values; flops as counted by the launches.

Examples:
  quire bench latency                                      the demo model
  quire bench latency --shape llama-1b --prompt-len 512    random weights in a known shape
  quire bench latency ~/models/Llama-3.2-1B --batch 8 --json latency.json)");
  const auto flags = std::make_shared<LatencyFlags>();
  command.add_option("--batch", flags->num_seqs, "Requests in the step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  add_model_bench_flags(command, *flags);
  command.callback([&program, flags] { program.action = [flags] { return run_latency(*flags); }; });
}

}  // namespace quire
