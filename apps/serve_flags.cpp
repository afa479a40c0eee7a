#include "apps/serve_flags.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "apps/console.h"
#include "apps/number_checks.h"
#include "base/check.h"

namespace quire {
namespace {

constexpr double kMaxSeconds = 1e8;  // three years; a clock counts in nanoseconds and ends after 292 of them

bool is_loopback(const std::string& host) { return host == "::1" || host.starts_with("127."); }

void add_address_flags(CLI::App& command, ServeFlags& flags) {
  HttpOptions& http = flags.http;
  const auto group = [](CLI::Option* option) { return with_env(option)->group("Address and access"); };
  group(command.add_option("--host", http.host, "Address to listen on; 0.0.0.0 = everybody"))
      ->capture_default_str();
  group(command.add_option("--port", http.port, "Port; 0 = any that is free"))
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  group(command.add_option("--served-model-name", flags.served_names,
                           "Name in requests, several if you like (default: the folder's)"));
  group(command.add_option("--api-key", flags.service.access.api_keys,
                           "Key that requests must show, may be given several times"));
  group(command.add_option("--api-key-file", flags.api_key_file, "File with one key a line"));
  group(command.add_option("--allowed-origins", flags.service.access.allowed_origins,
                           "Origins whose pages may call the server (default: none but its own)"));
  group(command.add_option("--allowed-hosts", flags.service.access.allowed_hosts,
                           "Names for a Host header (default: loopback's on loopback, else any)"));
}

void add_limit_flags(CLI::App& command, ServeFlags& flags) {
  HttpOptions& http = flags.http;
  const auto group = [](CLI::Option* option) { return with_env(option)->group("Limits"); };
  const auto count = [&group](CLI::Option* option) {
    return group(option)->check(not_negative())->capture_default_str();
  };
  const auto time = [&group](CLI::Option* option) {
    return group(option)->check(not_negative(kMaxSeconds))->capture_default_str();
  };
  count(command.add_option("--max-num-queued-reqs", flags.service.max_queued_answers,
                           "Answers that may wait; more are told 429"));
  count(command.add_option("--max-num-queued-tokens", flags.service.max_queued_tokens,
                           "Prompt tokens that may wait; 0 = no bound"));
  time(command.add_option("--request-timeout", flags.service.calls.request_timeout_s,
                          "Seconds until a request is ended with 504; 0 = none"));
  time(command.add_option("--ttft-timeout", flags.service.calls.first_token_timeout_s,
                          "Seconds until it must have begun to answer; 0 = none"));
  time(command.add_option("--shutdown-timeout", http.shutdown_timeout_s,
                          "Seconds that running requests get after SIGTERM"));
  group(command.add_option("--stall-timeout", flags.service.stall_s,
                           "Seconds without a finished step until the server is not ready"))
      ->check(above_zero(kMaxSeconds))
      ->capture_default_str();
  const auto seconds = [&group](CLI::Option* option) {
    group(option)->check(above_zero(kMaxSeconds))->capture_default_str();
  };
  seconds(command.add_option("--header-timeout", http.header_timeout_s,
                             "Seconds for a request's head to arrive"));
  seconds(command.add_option("--body-timeout", http.body_timeout_s, "Seconds for its body to arrive"));
  seconds(
      command.add_option("--idle-timeout", http.idle_timeout_s, "Seconds that a connection may be silent"));
  seconds(command.add_option("--write-timeout", http.write_timeout_s,
                             "Seconds that a client may refuse to read"));
  group(command.add_option("--max-connections", http.max_connections, "Open connections"))
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  group(command.add_option("--max-body-bytes", http.max_body_bytes, "Longest body of a request"))
      ->transform(CLI::AsSizeValue(true))
      ->type_name("SIZE")
      ->capture_default_str();
  group(command.add_option("--max-header-bytes", http.max_header_bytes, "Longest head of a request"))
      ->check(CLI::Range(1024, 1 << 20))
      ->capture_default_str();
  group(command.add_option("--max-answers", flags.max_answers, "Largest n of a request"))
      ->check(CLI::Range(1, 16384))
      ->capture_default_str();
  group(command.add_option("--max-logprobs", flags.max_logprobs,
                           "Most alternatives of a token that a request may ask for"))
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

void add_behaviour_flags(CLI::App& command, ServeFlags& flags) {
  const auto group = [](CLI::Option* option) { return with_env(option)->group("Behaviour"); };
  group(command.add_option("--max-num-seqs", flags.options.max_num_seqs, "Answers that run at the same time"))
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  group(command.add_option("--scheduling-policy", flags.scheduling_policy, "fcfs, or priority (lower first)"))
      ->check(CLI::IsMember({"fcfs", "priority"}))
      ->capture_default_str();
  group(command.add_option("--seed", flags.options.seed, "Of requests that bring none"))
      ->capture_default_str();
  group(command.add_option("--generation-config", flags.generation_config,
                           "auto = the model's own defaults, none = temperature 1"))
      ->check(CLI::IsMember({"auto", "none"}))
      ->capture_default_str();
  group(command.add_flag("--trust-special-tokens", flags.trusts_special_tokens,
                         "Special tokens written in chat messages are taken as such"));
  group(command.add_option("--http-threads", flags.http.num_threads, "Threads for connections"))
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  group(command.add_option("--sse-ping-interval", flags.service.calls.ping_s,
                           "Seconds of silence before a stream pings"))
      ->check(above_zero(kMaxSeconds))
      ->capture_default_str();
  group(command.add_flag("--metrics-compat", flags.service.has_old_metric_names,
                         "Add metric names of older routers"));
  group(command.add_flag("--measure-ceilings", flags.measures_ceilings,
                         "Measure the device at start; metrics then tell the fraction reached"));
  group(command.add_flag("--enable-log-requests", flags.service.logs_requests, "A line for each request"));
  group(command.add_flag("--disable-log-stats", flags.no_stats, "No line every 10 seconds"));
}

void read_keys(const std::string& path, std::vector<std::string>& keys) {
  std::ifstream file(path);
  QUIRE_CHECK_KIND(kNotFound, file, "cannot read the key file {}: {}", path, std::strerror(errno));
  for (std::string line; std::getline(file, line);) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) keys.push_back(line);
  }
}

}  // namespace

void add_serve_flags(CLI::App& command, ServeFlags& flags) {
  add_model_argument(command, flags);
  with_env(command.add_option("--config", flags.config, "File with flags, one `flag: value` a line"))
      ->type_name("FILE");
  add_address_flags(command, flags);
  add_limit_flags(command, flags);
  add_behaviour_flags(command, flags);
  add_engine_flags(command, flags);
}

void complete(ServeFlags& flags) {
  AccessOptions& access = flags.service.access;
  if (!flags.api_key_file.empty()) {
    read_keys(flags.api_key_file, access.api_keys);
    QUIRE_CHECK(!access.api_keys.empty(), "the key file {} holds no key", flags.api_key_file);
  }
  const bool has_empty_key =
      std::find(access.api_keys.begin(), access.api_keys.end(), "") != access.api_keys.end();
  QUIRE_CHECK(!has_empty_key, "--api-key must not be empty");
  if (is_loopback(flags.http.host) && access.allowed_hosts.empty()) access.allowed_hosts = {"localhost"};
  flags.options.policy =
      flags.scheduling_policy == "priority" ? SchedulingPolicy::kPriority : SchedulingPolicy::kFcfs;
  flags.service.logs_stats = !flags.no_stats;
}

SamplingParams request_defaults(const ServeFlags& flags, const GenerationDefaults& defaults) {
  SamplingParams params;
  if (flags.generation_config == "none") return params;
  const bool is_greedy = defaults.do_sample.has_value() && !*defaults.do_sample;
  params.temperature = is_greedy ? 0.0 : defaults.temperature.value_or(1.0);
  if (!is_greedy) params.top_p = defaults.top_p.value_or(1.0);
  if (!is_greedy) params.top_k = defaults.top_k.value_or(0);
  params.repetition_penalty = defaults.repetition_penalty.value_or(1.0);
  return params;
}

}  // namespace quire
