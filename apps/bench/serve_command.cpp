#include <sys/resource.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <random>

#include "apps/bench/bench_command.h"
#include "apps/bench/serve_report.h"
#include "apps/console.h"
#include "apps/interrupt.h"
#include "apps/number_checks.h"
#include "base/check.h"
#include "load/load_run.h"

namespace quire {
namespace {

constexpr const char* kHelp = R"(
Puts load on any server that speaks the OpenAI protocol and measures what its users would feel.

Open loop (--rate): requests come at random times (a Poisson process) and never wait for the server. Several rates make a sweep;
the rate at which times begin to climb is the server's capacity. Closed loop (--clients): each client sends its next request when
its last one is answered. Latencies count from the time at which a request was due, so that a stall shows in everything behind it.

TTFT  time to first token        TPOT  mean time per output token after the first
ITL   time between two events    good/s  answers a second within --slo-ttft-ms and --slo-tpot-ms
lag   how much later than due the generator itself sent; if it is not small, the generator or its machine is the bottleneck

Lengths (--prompt-len, --output-len) are laws: 128, uniform:MIN:MAX, lognormal:MEDIAN:SIGMA[:MAX], pareto:MIN:ALPHA[:MAX].
Prompts are made-up words that no two requests share, so that a prefix cache helps only where --prefix-len or --turns ask for
it. How many tokens a word costs is measured with two requests before the start; the lengths printed are the server's own.

A trace (--trace) has one JSON object a line: {"prompt_len": 900, "output_len": 80} and, if wanted, "arrival_s" (used unless
--rate or --clients is given), "prompt" (the text, instead of prompt_len), "prefix" and "prefix_len" (a name and a length: prompts
that name the same prefix begin alike).

Examples:
  quire bench serve --rate 1,2,4,8 --requests 200             a sweep, 200 requests each
  quire bench serve --clients 64 --duration 30                64 clients for 30 seconds
  quire bench serve --rate 4 --prompt-len lognormal:300:1:3000 --output-len pareto:16:1.3:500
  quire bench serve --clients 8 --turns 5 --prefix-len 200    conversations that begin alike
  quire bench serve --trace day.jsonl --json day.json --svg day.svg
  quire bench serve --rate 1,2,4 --slo-ttft-ms 200 --slo-tpot-ms 50 --url http://host:8000 --model some-model)";

struct ServeFlags {
  std::string url = "http://127.0.0.1:8000", endpoint = "chat", extra_body, trace_path, json_path, svg_path;
  std::string prompt_len = "128", output_len = "64";
  std::vector<std::string> rates;
  std::vector<int> clients;
  LoadTarget target;
  std::int64_t num_requests = 0;
  double duration_s = 0, slo_ttft_ms = 0, slo_tpot_ms = 0;
  int num_turns = 1, prefix_len = 0, num_prefixes = 1, num_warmup = 0;
  std::optional<std::uint64_t> seed;  // set before anything reads it
  bool stops_at_eos = false;
};

constexpr std::int64_t kDefaultRequests = 100, kNoLimit = 10'000'000;

double parse_rate(const std::string& text) {
  double rate = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, rate);
  QUIRE_CHECK(error == std::errc() && at == end && rate > 0,
              "--rate must be numbers above 0 or inf, got \"{}\"", text);
  return rate;
}

// Thousands of connections need as many descriptors; the system often gives 1,024 unasked and far more when
// asked.
void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

LoadTarget make_target(const ServeFlags& flags) {
  LoadTarget target = flags.target;
  target.url = HttpUrl::parse("--url", flags.url);
  target.is_chat = flags.endpoint == "chat";
  target.ignores_eos = !flags.stops_at_eos;
  if (!flags.extra_body.empty()) {
    try {
      target.more = parse_json(flags.extra_body, "--extra-body");
    } catch (const Error& e) {
      throw Error(ErrorKind::kInvalidArgument, e.what());
    }
    QUIRE_CHECK(target.more.is_object(), "--extra-body must be a JSON object, got {}", flags.extra_body);
  }
  return target;
}

WorkloadConfig make_workload(const ServeFlags& flags) {
  WorkloadConfig config;
  config.prompt_len = LengthLaw::parse("--prompt-len", flags.prompt_len);
  config.output_len = LengthLaw::parse("--output-len", flags.output_len);
  if (!flags.trace_path.empty()) config.trace = read_trace(flags.trace_path);
  config.num_turns = flags.num_turns;
  config.prefix_len = flags.prefix_len;
  config.num_prefixes = flags.num_prefixes;
  config.seed = *flags.seed;
  return config;
}

struct PlannedStage {
  LoadKind kind;
  double load;
  LoadStage stage;
};

std::vector<double> arrivals_of(const std::vector<TraceEntry>& trace) {
  std::vector<double> arrivals;
  for (const TraceEntry& entry : trace) arrivals.push_back(*entry.arrival_s);
  return arrivals;
}

std::vector<PlannedStage> plan_stages(const ServeFlags& flags, const std::vector<TraceEntry>& trace) {
  std::vector<PlannedStage> stages;
  const auto trace_len = static_cast<std::int64_t>(trace.size());
  const std::int64_t num_wanted = flags.num_requests > 0 ? flags.num_requests
                                  : flags.duration_s > 0 ? kNoLimit
                                  : trace_len > 0        ? trace_len
                                                         : kDefaultRequests;
  const auto add = [&](LoadKind kind, double load, int num_clients, std::vector<double> arrivals) {
    const auto num_arrivals = static_cast<std::int64_t>(arrivals.size());
    stages.push_back({kind,
                      load,
                      {static_cast<int>(stages.size()) + 1, std::move(arrivals), num_clients,
                       num_clients > 0 ? num_wanted : std::min(num_wanted, num_arrivals), flags.duration_s}});
  };
  for (const std::string& text : flags.rates) {
    const double rate = parse_rate(text);
    QUIRE_CHECK(std::isfinite(rate) || num_wanted < kNoLimit, "--rate inf needs --requests");
    // Enough arrivals for the whole duration, far beyond what chance could ask for; later ones are not used.
    const double most = flags.duration_s > 0 && std::isfinite(rate) ? rate * flags.duration_s * 1.2 + 200
                                                                    : double(num_wanted);
    const auto count = static_cast<std::int64_t>(std::min(most, double(num_wanted)));
    add(LoadKind::kRate, rate, 0, poisson_arrivals(rate, count, *flags.seed + stages.size()));
  }
  for (const int num_clients : flags.clients) add(LoadKind::kClients, num_clients, num_clients, {});
  if (!stages.empty()) return stages;
  if (!trace.empty() && trace.front().arrival_s) {
    std::vector<double> arrivals = arrivals_of(trace);
    const double span_s = arrivals.back();
    add(LoadKind::kTrace, span_s > 0 ? double(trace_len) / span_s : INFINITY, 0, std::move(arrivals));
  } else {
    add(LoadKind::kClients, 8, 8, {});
  }
  return stages;
}

Json config_json(const ServeFlags& flags, const LoadTarget& target, const WordCost& cost) {
  return {{"url", flags.url},
          {"model", target.model},
          {"endpoint", flags.endpoint},
          {"prompt_len", flags.prompt_len},
          {"output_len", flags.output_len},
          {"trace", flags.trace_path.empty() ? Json() : Json(flags.trace_path)},
          {"turns", flags.num_turns},
          {"prefix_len", flags.prefix_len},
          {"prefixes", flags.num_prefixes},
          {"seed", *flags.seed},
          {"slo_ttft_ms", flags.slo_ttft_ms > 0 ? Json(flags.slo_ttft_ms) : Json()},
          {"slo_tpot_ms", flags.slo_tpot_ms > 0 ? Json(flags.slo_tpot_ms) : Json()},
          {"tokens_per_word", cost.is_measured ? Json(cost.per_word) : Json()}};
}

std::vector<LoadRecord> run_planned(const LoadTarget& target, const Workload& workload,
                                    const PlannedStage& planned, InterruptScope& interrupt,
                                    bool& was_stopped) {
  const LoadStage& stage = planned.stage;
  const bool is_timed = stage.duration_s > 0 && stage.num_conversations == kNoLimit;
  const double num_expected =
      double(stage.num_conversations) * (workload.config().trace.empty() ? workload.config().num_turns : 1);
  Progress progress(StageResult{planned.kind, planned.load, {}}.label());
  LoadHooks hooks;
  hooks.on_progress = [&](std::int64_t num_done, double elapsed_s) {
    const double by_time = stage.duration_s > 0 ? elapsed_s / stage.duration_s : 0;
    progress.update(is_timed ? by_time : std::max(by_time, double(num_done) / num_expected),
                    fmt::format("{} done", num_done));
  };
  hooks.should_stop = [&] { return was_stopped = interrupt.take(); };
  return run_stage(target, workload, stage, hooks);
}

int run_serve_bench(ServeFlags flags) {
  // Otherwise a second run would find the first one's prompts in the server's prefix cache.
  if (!flags.seed) flags.seed = std::random_device()();
  allow_many_connections();
  LoadTarget target = make_target(flags);
  WorkloadConfig config = make_workload(flags);
  const std::vector<PlannedStage> stages = plan_stages(flags, config.trace);
  if (target.model.empty()) target.model = find_model(target);
  config.cost = measure_word_cost(target, *flags.seed);
  log("{} at {}, seed {}: {}", target.model, flags.url, *flags.seed,
      config.cost.is_measured ? fmt::format("{:.2f} tokens a word", config.cost.per_word)
                              : "no usage, so that a word is taken for a token");
  const Workload workload(config);
  LoadGoal goal;
  if (flags.slo_ttft_ms > 0) goal.ttft_s = flags.slo_ttft_ms / 1e3;
  if (flags.slo_tpot_ms > 0) goal.tpot_s = flags.slo_tpot_ms / 1e3;
  ServeReport report(goal);
  InterruptScope interrupt;
  bool was_stopped = false;
  if (flags.num_warmup > 0) {
    const PlannedStage warmup{LoadKind::kClients, 8, {0, {}, 8, flags.num_warmup, 0}};
    run_planned(target, workload, warmup, interrupt, was_stopped);
  }
  for (std::size_t i = 0; i < stages.size() && !was_stopped; ++i) {
    const std::vector<LoadRecord> records = run_planned(target, workload, stages[i], interrupt, was_stopped);
    report.add({stages[i].kind, stages[i].load, summarize(records, goal)});
  }
  report.finish();
  if (!flags.json_path.empty()) report.write_json(flags.json_path, config_json(flags, target, config.cost));
  if (!flags.svg_path.empty()) report.write_svg(flags.svg_path, target.model + " at " + flags.url);
  if (was_stopped) log("stopped: requests in flight are not counted");
  return report.has_answers() && !was_stopped ? kExitOk : kExitFailure;
}

void add_server_flags(CLI::App& command, ServeFlags& flags) {
  const auto group = [](CLI::Option* option) { return option->group("Server"); };
  group(command.add_option("--url", flags.url, "The server, with or without /v1 at the end"))
      ->capture_default_str();
  with_env(group(command.add_option("--api-key", flags.target.api_key, "Sent as bearer token")))
      ->type_name("KEY");
  group(command.add_option("--model", flags.target.model,
                           "Name to ask for (default: the first that the server lists)"));
  group(command.add_option("--endpoint", flags.endpoint, "chat or completions"))
      ->check(CLI::IsMember({"chat", "completions"}))
      ->capture_default_str();
  group(command.add_option("--timeout", flags.target.timeout_s, "Seconds until an answer must be complete"))
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  group(command.add_option("--temperature", flags.target.temperature, "Of sampling; 0 is greedy"))
      ->check(not_negative(100))
      ->capture_default_str();
  group(command.add_flag("--stop-at-eos", flags.stops_at_eos,
                         "Do not send ignore_eos, which servers other than vLLM's kin may refuse"));
  group(command.add_option("--extra-body", flags.extra_body, "Further fields of each request"))
      ->type_name("JSON");
}

void add_load_flags(CLI::App& command, ServeFlags& flags) {
  const auto group = [](CLI::Option* option) { return option->group("Load"); };
  CLI::Option* rate = group(command.add_option(
      "--rate", flags.rates, "Open loop: requests a second, several joined by commas; inf = all at once"));
  rate->delimiter(',')->type_name("RATE,...");
  group(command.add_option("--clients", flags.clients,
                           "Closed loop: clients, several joined by commas (default: 8)"))
      ->delimiter(',')
      ->type_name("N,...")
      ->check(CLI::Range(1, 65535))
      ->excludes(rate);
  group(command.add_option(
            "--requests", flags.num_requests,
            "Requests (with --turns conversations) a stage (default: 100; with --duration no limit)"))
      ->check(CLI::Range(std::int64_t{1}, kNoLimit - 1));
  group(
      command.add_option("--duration", flags.duration_s, "Seconds after which a stage begins no new request"))
      ->check(CLI::Range(0.001, 1e6));
  group(command.add_option("--warmup", flags.num_warmup,
                           "Requests before the first stage that are not counted"))
      ->check(not_negative())
      ->capture_default_str();
  group(command.add_option(
      "--seed", flags.seed,
      "Of arrivals, lengths and words (default: another each time, so that no cache knows the words)"));
}

void add_length_flags(CLI::App& command, ServeFlags& flags) {
  const auto group = [](CLI::Option* option) { return option->group("Prompts"); };
  group(command.add_option("--prompt-len", flags.prompt_len, "Law of new tokens in a prompt (a turn)"))
      ->type_name("LAW")
      ->capture_default_str();
  group(command.add_option("--output-len", flags.output_len, "Law of tokens in an answer"))
      ->type_name("LAW")
      ->capture_default_str();
  group(command.add_option("--trace", flags.trace_path, "Lengths or texts, and perhaps times, from a file"))
      ->type_name("FILE");
  group(
      command.add_option("--turns", flags.num_turns, "Turns of a conversation; each sends all that was said"))
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  group(command.add_option("--prefix-len", flags.prefix_len, "Tokens with which prompts begin alike"))
      ->check(CLI::Range(0, LengthLaw::kMost))
      ->capture_default_str();
  group(command.add_option("--prefixes", flags.num_prefixes, "Different such beginnings"))
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
}

void add_result_flags(CLI::App& command, ServeFlags& flags) {
  const auto group = [](CLI::Option* option) { return option->group("Results"); };
  group(command.add_option("--slo-ttft-ms", flags.slo_ttft_ms,
                           "An answer is good if its first token came in this time"))
      ->check(above_zero(1e9));
  group(command.add_option("--slo-tpot-ms", flags.slo_tpot_ms, "... and its other tokens in this time each"))
      ->check(above_zero(1e9));
  group(command.add_option("--json", flags.json_path, "Also write all figures to this file"))
      ->type_name("FILE");
  group(command.add_option("--svg", flags.svg_path, "Also draw latency and answers a second over the load"))
      ->type_name("FILE");
}

}  // namespace

void add_bench_serve(CLI::App& bench, Program& program) {
  CLI::App& command = *bench.add_subcommand("serve", "Load on a running server, as its users would feel it");
  command.footer(kHelp);
  const auto flags = std::make_shared<ServeFlags>();
  add_server_flags(command, *flags);
  add_load_flags(command, *flags);
  add_length_flags(command, *flags);
  add_result_flags(command, *flags);
  command.callback([&program, flags] { program.action = [flags] { return run_serve_bench(*flags); }; });
}

}  // namespace quire
