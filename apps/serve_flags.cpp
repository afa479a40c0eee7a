#include "apps/serve_flags.h"

#include <algorithm>
#include <sstream>

#include "apps/console.h"
#include "base/check.h"
#include "base/text_file.h"

namespace quire {
namespace {

constexpr std::size_t kMaxNameBytes = 256;

bool is_loopback(const std::string& host) { return host == "::1" || host.starts_with("127."); }

void add_address_flags(CLI::App& command, ServeFlags& flags) {
  HttpOptions& http = flags.http;
  const auto group = [](CLI::Option* option) { return with_env(option)->group("Address and access"); };
  group(command.add_option("--host", http.host, "Address to listen on; 0.0.0.0 = everybody"))
      ->capture_default_str();
  group(command.add_option("--port", http.port, "Port; 0 = any that is free"))
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  group(command.add_option("--served-model-name", flags.serving.names,
                           "Name in requests, several if you like (default: the folder's)"));
  group(command.add_option("--api-key", flags.service.access.api_keys,
                           "Key that requests must show, may be given several times"));
  group(command.add_option("--api-key-file", flags.api_key_file, "File with one key a line"));
  group(command.add_option("--allowed-origins", flags.service.access.allowed_origins,
                           "Origins whose pages may call the server (default: none but its own)"));
  group(command.add_option(
      "--allowed-hosts", flags.service.access.allowed_hosts,
      "Names for a Host header, * = any (default: see docs/serving.md)"));
  group(command.add_option("--trusted-proxy", flags.service.trusted_proxies,
                           "Addresses or networks whose X-Forwarded-For tells clients apart"));
}

// Not CLI::Range: that takes "nan". Beyond 1e6 s (12 days) a time is a slip of the pen.
CLI::Validator seconds_from(double least_s) {
  static constexpr double kMostSeconds = 1e6;
  const auto check = [least_s](std::string& text) {
    double value = 0;
    const bool is_number = CLI::detail::lexical_cast(text, value);
    if (is_number && value >= least_s && value <= kMostSeconds) return std::string();
    return fmt::format("{} is not a number of seconds from {} to {}", text, least_s, kMostSeconds);
  };
  return CLI::Validator(check, fmt::format("SECONDS in [{} - {}]", least_s, kMostSeconds));
}

void add_queue_flags(CLI::App& command, ServeFlags& flags) {
  const auto count = [](CLI::Option* option, std::int64_t most) {
    with_env(option)->group("Limits")->check(CLI::Range(std::int64_t{0}, most))->capture_default_str();
  };
  count(command.add_option("--max-num-queued-reqs", flags.service.max_queued_answers,
                           "Answers that may wait; more are told 429"),
        1 << 20);
  count(
      command.add_option("--max-num-reqs-per-key", flags.service.max_answers_of_client,
                         "Answers of a key or address at a time; 0 = 7/8 of all"),
      1 << 20);
  count(command.add_option("--max-num-queued-tokens", flags.service.max_queued_tokens,
                           "Prompt tokens that may wait; 0 = no bound"),
        std::int64_t{1} << 40);
  const auto size = [](CLI::Option* option) {
    with_env(option)
        ->group("Limits")
        ->transform(CLI::AsSizeValue(true))
        ->type_name("SIZE")
        ->capture_default_str();
  };
  size(command.add_option("--max-body-bytes", flags.service.max_body_bytes, "Longest body of a request"));
  size(command.add_option(
      "--max-unread-body-bytes", flags.service.max_unread_body_bytes,
      "Bytes of all bodies that are not parsed yet"));
}

void add_time_flags(CLI::App& command, ServeFlags& flags) {
  HttpOptions& http = flags.http;
  CallOptions& calls = flags.service.calls;
  const auto seconds = [](CLI::Option* option, double least_s) {
    with_env(option)->group("Limits")->check(seconds_from(least_s))->type_name("")->capture_default_str();
  };
  constexpr double kLeastTimeout = 0.001;
  seconds(command.add_option("--request-timeout", calls.request_timeout_s,
                             "Seconds until a request is ended with 504; 0 = none"),
          0);
  seconds(command.add_option("--ttft-timeout", calls.first_token_timeout_s,
                             "Seconds until it must have begun to answer; 0 = none"),
          0);
  seconds(command.add_option("--queue-timeout", calls.queue_timeout_s,
                             "Seconds that it may wait until it is computed; 0 = no bound"),
          0);
  seconds(command.add_option("--shutdown-timeout", http.shutdown_timeout_s,
                             "Seconds that running requests get after SIGTERM"),
          0);
  seconds(command.add_option("--stall-timeout", flags.service.stall_s,
                             "Seconds without a finished step until the server is not ready"),
          kLeastTimeout);
  seconds(
      command.add_option("--header-timeout", http.header_timeout_s, "Seconds for a request's head to arrive"),
      kLeastTimeout);
  seconds(command.add_option("--body-timeout", http.body_timeout_s, "Seconds for its body to arrive"),
          kLeastTimeout);
  seconds(
      command.add_option("--idle-timeout", http.idle_timeout_s, "Seconds that a connection may be silent"),
      kLeastTimeout);
  seconds(
      command.add_option("--write-timeout", http.write_timeout_s, "Seconds that a client may refuse to read"),
      kLeastTimeout);
}

void add_limit_flags(CLI::App& command, ServeFlags& flags) {
  HttpOptions& http = flags.http;
  const auto group = [](CLI::Option* option) { return with_env(option)->group("Limits"); };
  add_queue_flags(command, flags);
  add_time_flags(command, flags);
  group(command.add_option("--max-connections", http.max_connections, "Open connections"))
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  group(command.add_option("--max-header-bytes", http.max_header_bytes, "Longest head of a request"))
      ->check(CLI::Range(1024, 1 << 20))
      ->capture_default_str();
  group(command.add_option("--max-answers", flags.serving.max_answers, "Largest n of a request"))
      ->check(CLI::Range(1, 16384))
      ->capture_default_str();
  group(command.add_option("--max-logprobs", flags.serving.max_logprobs,
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
      ->check(seconds_from(0.001))
      ->type_name("")
      ->capture_default_str();
  group(command.add_flag("--metrics-compat", flags.service.has_old_metric_names,
                         "Add metric names of older routers"));
  group(command.add_flag("--measure-ceilings", flags.measures_ceilings,
                         "Measure the device at start; metrics then tell the fraction reached"));
  group(command.add_flag("--enable-log-requests", flags.service.logs_requests, "A line for each request"));
  group(command.add_flag("--disable-log-stats", flags.no_stats, "No line every 10 seconds"));
}

// A name is written into logs, metrics and answers.
bool is_printable(const std::string& name) {
  return !name.empty() && std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

void read_keys(const std::string& path, std::vector<std::string>& keys) {
  constexpr std::size_t kMaxKeyFileBytes = 1u << 20;
  std::istringstream lines(read_text_file(path, kMaxKeyFileBytes, "the key file"));
  for (std::string line; std::getline(lines, line);) {
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
  add_step_flags(command, flags.options);
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
  for (const std::string& name : flags.serving.names) {
    QUIRE_CHECK(is_printable(name) && name.size() <= kMaxNameBytes,
                "--served-model-name must have 1 to {} bytes and no control characters", kMaxNameBytes);
  }
  const ServiceOptions& service = flags.service;
  QUIRE_CHECK(
      service.max_body_bytes <= service.max_unread_body_bytes / 2,
      "--max-unread-body-bytes is {}, must be at least twice --max-body-bytes, which is {}: one client "
      "may hold half of it",
      service.max_unread_body_bytes, service.max_body_bytes);
  constexpr std::size_t kMostBytes = std::size_t{1} << 40;
  for (const std::size_t bytes : {flags.service.max_body_bytes, flags.service.max_unread_body_bytes}) {
    QUIRE_CHECK(bytes >= 1 && bytes <= kMostBytes, "a bound of {} bytes for bodies; must lie in [1, {}]",
                bytes, kMostBytes);
  }
  flags.options.policy =
      flags.scheduling_policy == "priority" ? SchedulingPolicy::kPriority : SchedulingPolicy::kFcfs;
  flags.service.logs_stats = !flags.no_stats;
  flags.serving.ignores_advice = flags.generation_config == "none";
}

}  // namespace quire
