// quire serve: one model for OpenAI's clients.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>

#include "apps/background_log.h"
#include "apps/bench/ceilings.h"
#include "apps/console.h"
#include "apps/serve_flags.h"
#include "apps/shutdown_signals.h"
#include "base/check.h"
#include "engine/engine_impl.h"

namespace quire {
namespace {

// Every connection is a file; the usual soft limit of 1,024 is soon reached.
void raise_file_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void warn_of_open_doors(const ServeFlags& flags) {
  const bool is_local =
      !flags.service.access.allowed_hosts.empty() && flags.service.access.allowed_hosts[0] == "localhost";
  if (!is_local && flags.service.access.api_keys.empty()) {
    log("warning: everybody who reaches {} port {} may use this server; see --api-key", flags.http.host,
        flags.http.port);
    if (flags.service.access.allowed_hosts.empty())
      log("requests must name it by its address; a name in the Host header needs --allowed-hosts");
  }
}

// Text is at most as long as tokens are; what is longer cannot fit and need not be tokenised to know it.
std::size_t longest_prompt_bytes(const Tokenizer& tokenizer, std::int32_t max_model_len) {
  std::size_t longest = 1;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (const auto text = tokenizer.token_text(id)) longest = std::max(longest, text->size());
  }
  return longest * static_cast<std::size_t>(max_model_len);
}

StepBound step_bound(const LoadedEngine& loaded) {
  Device& device = loaded.runner->device();
  CeilingMeter meter(device);
  const double read = meter.measure_read();
  const double compute = meter.measure_compute_of(loaded.config.dtype);
  log("ceilings of a burst: {:.1f} GB/s, {:.1f} GFLOP/s", read / 1e9, compute / 1e9);
  device.take_cost();
  return [&device, read, compute] {
    const LaunchCost cost = device.take_cost();
    return std::max(cost.bytes / read, cost.flops / compute);
  };
}

ChatEncoder chat_encoder(const ServeFlags& flags, const LoadedEngine& loaded) {
  auto chat = load_chat_format(loaded.defaults, loaded.tokenizer, flags.trusts_special_tokens);
  if (!chat) return {};
  return [chat = *std::move(chat)](const OrderedJson& messages, bool add_generation_prompt,
                                   const OrderedJson& variables) {
    return chat.encode(messages, add_generation_prompt, variables);
  };
}

ServedModel served_model(const ServeFlags& flags, const std::filesystem::path& folder,
                         const LoadedEngine& loaded) {
  ServedModel model;
  const EngineConfig& config = loaded.engine_config;
  model.tokenizer = loaded.tokenizer;
  model.encode_chat = chat_encoder(flags, loaded);
  RequestLimits& limits = model.limits;
  limits.model_names = flags.served_names;
  if (limits.model_names.empty())
    limits.model_names = {printable(std::filesystem::weakly_canonical(folder).filename().string())};
  limits.vocab_size = std::min(config.vocab_size, loaded.tokenizer->vocab_size());
  limits.max_model_len = loaded.core->scheduler().max_len();
  limits.max_logprobs = flags.max_logprobs;
  limits.max_n = flags.max_answers;
  limits.max_prompt_bytes = longest_prompt_bytes(*loaded.tokenizer, limits.max_model_len);
  limits.has_priorities = config.scheduler.policy == SchedulingPolicy::kPriority;
  limits.defaults = request_defaults(flags, loaded.defaults);
  model.eos_tokens = config.eos_tokens;
  model.facts = {limits.model_names.front(), config.kv_cache.page_size, config.kv_cache.num_pages - 1,
                 limits.max_model_len};
  model.created_s =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  model.max_num_seqs = config.scheduler.max_num_seqs;
  return model;
}

// Lines go to stderr by a thread of their own, for as long as this lives.
struct LogScope {
  BackgroundLog log{STDERR_FILENO};
  LogScope() { log_through(&log); }
  ~LogScope() { log_through(nullptr); }
};

int exit_code_of(ShutdownKind kind) {
  return kind == ShutdownKind::kForced || kind == ShutdownKind::kFailed ? kExitFailure : kExitOk;
}

int serve(const Program& program, ServeFlags flags) {
  complete(flags);
  const std::filesystem::path folder = model_folder(flags.model);
  raise_file_limit();
  std::signal(SIGPIPE, SIG_IGN);  // a reader of the log that has gone is no reason to end
  const LogScope log_scope;
  const LogLine log_now = [](std::string_view line) { log_line(line); };
  Service service(flags.service, log_now);
  HttpServer server(flags.http, service, log_now);
  ShutdownSignals signals(server);
  const int port = server.start();
  warn_of_open_doors(flags);
  log("listening on http://{}:{} (version " QUIRE_VERSION "); the model is being loaded", flags.http.host,
      port);

  EngineOptions options = engine_options(program, flags, folder);
  // Cancelled requests count until their step is over.
  options.max_num_requests = static_cast<int>(
      std::min<std::int64_t>(1 << 30, 2 * (options.max_num_seqs + flags.service.max_queued_answers) + 1024));
  std::optional<LoadedEngine> loading;
  try {
    loading = load_model(folder, options, [&server] {
      if (server.is_shutting_down()) throw_error(ErrorKind::kExhausted, "stopped while loading");
    });
  } catch (const Error&) {
    if (!server.is_shutting_down()) throw;
    signals.set_exit_code(kExitOk);
    return kExitOk;
  }
  LoadedEngine& loaded = *loading;
  ServedModel model = served_model(flags, folder, loaded);
  log("chat: {}; at most {} tokens a request, {} answers at a time, {} in the queue",
      model.encode_chat ? "by the model's template" : "this model has no template",
      model.limits.max_model_len, model.max_num_seqs, flags.service.max_queued_answers);
  StepBound bound = flags.measures_ceilings ? step_bound(loaded) : StepBound{};
  Engine engine(std::make_unique<Engine::Impl>(std::move(loaded.core), options.max_num_requests,
                                               TextEncoder{}, std::move(bound)));
  const std::string names = fmt::format("{}", fmt::join(model.limits.model_names, ", "));
  model.engine = &engine;
  service.attach(std::move(model));
  log("ready: http://{}:{}/v1 serves {}", flags.http.host, port, names);
  const ShutdownKind kind = server.wait();
  signals.set_exit_code(exit_code_of(kind));
  log("stopped{}", kind == ShutdownKind::kDrained ? "" : "; some answers were cut short");
  return exit_code_of(kind);
}

}  // namespace

void add_serve_command(CLI::App& app, Program& program) {
  CLI::App& command = *app.add_subcommand("serve", "Serve a model to OpenAI's clients over HTTP");
  command.footer(R"(
Endpoints: /v1/completions, /v1/chat/completions, /v1/models, /tokenize, /detokenize, /health, /health/live,
/health/ready, /metrics, /version; the live page is at /. SIGTERM refuses new requests, lets running ones end and exits
with 0; a second one stops at once. SIGINT and SIGHUP do the same.

Examples:
  quire serve
  quire serve ~/models/Qwen3-0.6B --port 8080 --served-model-name qwen
  quire serve --host 0.0.0.0 --api-key-file keys.txt
  quire serve --max-num-seqs 64 --max-num-queued-reqs 256 --request-timeout 120)");
  const auto flags = std::make_shared<ServeFlags>();
  add_serve_flags(command, *flags);
  command.callback(
      [&program, flags] { program.action = [&program, flags] { return serve(program, *flags); }; });
}

}  // namespace quire
