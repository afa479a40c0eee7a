// quire serve: one model for OpenAI's clients.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>

#include "apps/background_log.h"
#include "apps/bench/ceilings.h"
#include "apps/console.h"
#include "apps/serve_flags.h"
#include "apps/shutdown_signals.h"
#include "base/check.h"
#include "quire/version.h"
#include "serving/served_model.h"

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

StepBound step_bound(LoadedEngine& loaded) {
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

// Lines go to stderr by a thread of their own, for as long as this lives.
struct LogScope {
  BackgroundLog log{STDERR_FILENO};
  LogScope() { log_through(&log); }
  ~LogScope() { log_through(nullptr); }
};

int exit_code_of(ShutdownKind kind) {
  return kind == ShutdownKind::kForced || kind == ShutdownKind::kFailed ? kExitFailure : kExitOk;
}

// The model of the flags; nothing if the server was told to stop meanwhile.
std::optional<Model> load(const ServeFlags& flags, HttpServer& server) {
  ModelOptions options{.engine = engine_options(flags)};
  options.trusts_special_tokens = flags.trusts_special_tokens;
  // Cancelled requests count until their step is over.
  options.engine.max_num_requests = static_cast<int>(std::min<std::int64_t>(
      1 << 30, 2 * (options.engine.max_num_seqs + flags.service.max_queued_answers) + 1024));
  const auto give_up = [&server] {
    if (server.is_shutting_down()) throw_error(ErrorKind::kExhausted, "stopped while loading");
  };
  try {
    return load_model(model_folder(flags.model), std::move(options), give_up,
                      flags.measures_ceilings ? step_bound : StepBoundMaker{});
  } catch (const Error&) {
    if (!server.is_shutting_down()) throw;
    return std::nullopt;
  }
}

int serve(ServeFlags flags) {
  complete(flags);
  model_folder(flags.model);  // throws before anybody is told that there is a server
  raise_file_limit();
  std::signal(SIGPIPE, SIG_IGN);  // a reader of the log that has gone is no reason to end
  const LogScope log_scope;
  const LogLine log_now = [](std::string_view line) { log_line(line); };
  Service service(flags.service, log_now);
  HttpServer server(flags.http, service, log_now);
  ShutdownSignals signals(server);
  const int port = server.start();
  warn_of_open_doors(flags);
  log("listening on http://{}:{} (version {}); the model is being loaded", flags.http.host, port,
      build_text());

  std::optional<Model> model = load(flags, server);
  if (!model) {
    signals.set_exit_code(kExitOk);
    return kExitOk;
  }
  ServedModel served = served_model(*model, flags.serving);
  log("chat: {}; at most {} tokens a request, {} answers at a time, {} in the queue",
      model->has_chat_format() ? "by the model's template" : model->info().why_no_chat,
      model->info().context_len, served.max_num_seqs, flags.service.max_queued_answers);
  const std::string names = fmt::format("{}", fmt::join(served.limits.model_names, ", "));
  service.attach(std::move(served));
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
  command.callback([&program, flags] { program.action = [flags] { return serve(*flags); }; });
}

}  // namespace quire
