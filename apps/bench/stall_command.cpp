#include <algorithm>
#include <vector>

#include "apps/bench/model_under_test.h"
#include "apps/console.h"
#include "apps/model_flags.h"
#include "base/check.h"

namespace quire {
namespace {

constexpr int kAnswerPromptLen = 32;  // of the requests that are being answered
constexpr int kNumStepsBefore = 24;   // before the prompt arrives
constexpr int kLeastOutputLen = kAnswerPromptLen + kNumStepsBefore + 8;  // then answers outlast the prompt
constexpr RequestId kPromptId = 1'000'000;

struct StallFlags : ModelBenchFlags {
  int num_seqs = 4;
};

// One engine, and what has been measured of it.
struct Contestant {
  LoadedEngine model;
  std::vector<double> gaps_s;    // between tokens of the answers while the prompt is computed
  std::vector<double> firsts_s;  // from the prompt's arrival to its first token
};

Contestant load_contestant(const StallFlags& flags, double target_ms) {
  StallFlags with_target = flags;
  with_target.options.step_time_target_ms = target_ms;
  return {load_model_under_test(with_target, flags.num_seqs + 1), {}, {}};
}

void submit(LoadedEngine& model, RequestId id, int prompt_len, std::int64_t max_tokens) {
  SamplingParams params;
  params.temperature = 0;
  params.ignore_eos = true;
  params.max_tokens = max_tokens;
  const auto prompt = random_tokens(model.config.vocab_size, prompt_len, static_cast<std::uint32_t>(id));
  model.core->submit(id, prompt, model.core->check(prompt, params));
}

// Whether the prompt has its first token.
bool step(LoadedEngine& model) {
  bool is_answered = false;
  for (const StepOutput& output : model.core->step()) {
    QUIRE_CHECK_KIND(kInternal, output.output.finish_reason != FinishReason::kError, "request {}: {}",
                     output.id, output.output.error);
    is_answered |= output.id == kPromptId;
  }
  return is_answered;
}

void run_round(Contestant& contestant, const StallFlags& flags) {
  LoadedEngine& model = contestant.model;
  for (int i = 1; i <= flags.num_seqs; ++i)
    submit(model, static_cast<RequestId>(i), kAnswerPromptLen,
           flags.prompt_len + kLeastOutputLen - kAnswerPromptLen);
  for (int i = 0; i < kNumStepsBefore; ++i) step(model);
  const double start_s = now_s();
  submit(model, kPromptId, flags.prompt_len, 1);
  double last_s = start_s;
  for (bool is_answered = false; !is_answered;) {
    is_answered = step(model);
    contestant.gaps_s.push_back(now_s() - last_s);
    last_s = now_s();
  }
  contestant.firsts_s.push_back(last_s - start_s);
  for (int i = 1; i <= flags.num_seqs; ++i) model.core->cancel(static_cast<RequestId>(i));
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

BenchRow row_of(const Contestant& contestant, const StallFlags& flags, double target_ms) {
  const std::string target = target_ms > 0 ? fmt::format("target {} ms", target_ms) : "no target";
  const double p99_s = quantile(contestant.gaps_s, 0.99);
  return {fmt::format("{} {} + {}, {}", name_of(flags), flags.num_seqs, flags.prompt_len, target),
          p99_s * 1e6,
          {},
          "",
          0,
          {{"gap_p50_ms", quantile(contestant.gaps_s, 0.5) * 1e3},
           {"gap_p99_ms", p99_s * 1e3},
           {"gap_max_ms", quantile(contestant.gaps_s, 1) * 1e3},
           {"first_token_ms", quantile(contestant.firsts_s, 0.5) * 1e3}}};
}

int run_stall(const StallFlags& flags) {
  const double target_ms = flags.options.step_time_target_ms;
  QUIRE_CHECK(target_ms > 0, "--step-time-target is {}, must be above 0 to be compared with none", target_ms);
  QUIRE_CHECK(flags.output_len >= kLeastOutputLen,
              "--output-len is {}, must be at least {}: answers go on until the prompt has its first token",
              flags.output_len, kLeastOutputLen);
  Contestant without = load_contestant(flags, 0), with = load_contestant(flags, target_ms);
  for (int round = 0; round < flags.num_rounds; ++round) {
    run_round(without, flags);
    run_round(with, flags);
  }
  BenchReport report(with.model.runner->device().caps());
  report.add(row_of(without, flags, 0));
  report.add(row_of(with, flags, target_ms));
  print_now(fmt::format("p99 of the gaps without a target / with one: {:.2f}\n",
                        quantile(without.gaps_s, 0.99) / quantile(with.gaps_s, 0.99)));
  report.finish({}, flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_stall(CLI::App& bench, Program& program) {
  CLI::App& command = *bench.add_subcommand("stall", "How long a prompt that arrives holds up answers");
  command.footer(R"(
Requests are being answered when a long prompt arrives. The time is the 99th percentile of the gaps between
their tokens until the prompt has its first one; first_token_ms is the median time to it. Two engines take
turns, one with --step-time-target and one without.

Examples:
  quire bench stall --prompt-len 4000 --output-len 96          the demo model
  quire bench stall --shape qwen3-0.6b --batch 8 --prompt-len 2000 --repeat 1)");
  const auto flags = std::make_shared<StallFlags>();
  command.add_option("--batch", flags->num_seqs, "Requests that are being answered")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  flags->options.step_time_target_ms = kStepTimeTargetMs;
  add_model_bench_flags(command, *flags);
  command.callback([&program, flags] { program.action = [flags] { return run_stall(*flags); }; });
}

}  // namespace quire
