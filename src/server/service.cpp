#include "server/service.h"

#include <algorithm>
#include <random>
#include <utility>

#include "server/json_text.h"
#include "server/page.h"
#include "server/pages_reply.h"
#include "server/work_reply.h"

namespace quire {
namespace {

constexpr int kRetryAfterS = 5;
constexpr std::chrono::seconds kLogInterval{10};
constexpr int kRetryWhenFullS = 1;
constexpr std::string_view kModelsPath = "/v1/models/";
constexpr std::size_t kMaxIgnoredBytes = 16 << 10;  // of a body that nothing wants
constexpr std::size_t kMaxShownName = 200;

// Errors are answers too.
template <class Answer>
void give_reply(Exchange& exchange, const Answer& answer) {
  try {
    exchange.reply = answer();
  } catch (const ApiError& error) {
    exchange.reply = error.reply();
  } catch (const Error& error) {
    exchange.reply = api_error_of(error).reply();
  } catch (const std::exception&) {
    exchange.reply = ApiError(500, "the server failed on this request").reply();
  }
}

std::unique_ptr<Reply> json_reply(std::string body, int status = 200) {
  return std::make_unique<ReadyReply>(HttpHead{status}, std::move(body));
}

// Random, so that ids of two processes differ; nobody has to guess or to trust them.
std::string random_prefix() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

// A client's id is echoed if it is harmless in headers, logs and JSON.
std::string request_id_of(const HttpRequest& request, const std::string& fallback) {
  const std::string* wanted = request.header("x-request-id");
  const bool is_harmless = wanted != nullptr && !wanted->empty() && wanted->size() <= 128 &&
                           std::all_of(wanted->begin(), wanted->end(),
                                       [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
  return is_harmless ? *wanted : fallback;
}

void add_card(JsonText& out, const ServedModel& model, const std::string& name) {
  out.begin('{').member("id", name).member("object", "model").member("created", model.created_s);
  out.member("owned_by", "quire").member("root", model.facts.name).key("parent").null();
  out.member("max_model_len", model.limits.max_model_len).key("permission").begin('[').end(']').end('}');
}

void check_content_type(const HttpRequest& request) {
  const std::string* type = request.header("content-type");
  std::string name = type == nullptr ? "" : type->substr(0, type->find(';'));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  name.erase(name.find_last_not_of(" \t") + 1);
  if (name != "application/json") {
    throw ApiError(415, "the body must be JSON: send the header Content-Type: application/json");
  }
  const std::string* encoding = request.header("content-encoding");
  if (encoding != nullptr && *encoding != "identity") throw ApiError(415, "compressed bodies are not read");
}

}  // namespace

enum class Need : std::uint8_t { kNothing, kKey };

struct Route {
  std::string_view method, path;
  // Null: a reply that takes its time, see dispatch.
  std::unique_ptr<Reply> (Service::*act)(const HttpRequest&);
  Need need = Need::kKey;

  bool is_probe() const { return need == Need::kNothing; }
};

const Route Service::kRoutes[] = {
    {"POST", "/v1/chat/completions", nullptr},
    {"POST", "/v1/completions", nullptr},
    {"GET", "/v1/internal/pages", nullptr},
    {"GET", "/v1/models", &Service::models},
    {"GET", "/v1/models/{id}", &Service::model_card},
    {"POST", "/tokenize", nullptr},
    {"POST", "/detokenize", nullptr},
    {"GET", "/health", &Service::ready, Need::kNothing},
    {"GET", "/health/live", &Service::live, Need::kNothing},
    {"GET", "/health/ready", &Service::ready, Need::kNothing},
    {"GET", "/metrics", &Service::metrics_page},
    {"GET", "/version", &Service::version},
    {"GET", "/", &Service::page},
    {"GET", "/page/{file}", &Service::page},
    {"POST", "/v1/embeddings", &Service::later},
    {"POST", "/v1/audio/transcriptions", &Service::later},
    {"POST", "/v1/audio/translations", &Service::later},
    {"POST", "/v1/responses", &Service::later},
    {"POST", "/v1/messages", &Service::later},
    {"POST", "/v1/rerank", &Service::later},
};

Service::Service(ServiceOptions options, LogLine log)
    : options_(std::move(options)),
      log_(std::move(log)),
      access_(options_.access),
      addresses_(options_.trusted_proxies),
      bodies_(options_.max_unread_body_bytes, options_.calls.max_inline_body_bytes),
      id_prefix_(random_prefix()),
      workers_(options_.num_workers) {}

void Service::attach(ServedModel model) {
  metrics_.set_model(model.facts);
  admission_.set_limits({model.max_num_seqs, options_.max_queued_answers, options_.max_queued_tokens,
                         options_.max_answers_of_client});
  model_ = std::make_shared<const ServedModel>(std::move(model));
  has_model_ = true;
  State expected = State::kLoading;
  state_.compare_exchange_strong(expected, State::kServing);
}

void Service::drain() { state_ = State::kDraining; }
void Service::abort_calls() { is_aborting_ = true; }
void Service::stop_workers() { workers_.stop(); }

std::shared_ptr<const ServedModel> Service::model() const {
  if (!has_model_) throw retry_later(503, "the model is being loaded", kRetryAfterS);
  return model_;
}

void Service::check_takes_calls() const {
  if (state_ == State::kDraining) throw retry_later(503, "the server is shutting down", kRetryAfterS);
  if (model()->engine->stats().has_failed) throw retry_later(503, "the engine has failed", kRetryAfterS);
}

bool Service::is_ready() const {
  return state_ == State::kServing && !has_stalled_ && !model_->engine->stats().has_failed;
}

bool Service::has_failed() const { return has_model_ && model_->engine->stats().has_failed; }

const Route* Service::find_route(const HttpRequest& request) {
  std::string_view path = request.path;
  if (path.size() > 2 && path.ends_with('/')) path.remove_suffix(1);
  const Route* same_path = nullptr;
  for (const Route& route : kRoutes) {
    const std::size_t brace = route.path.find('{');  // "/v1/models/{id}": any name behind the last slash
    const bool is_same =
        brace == std::string_view::npos ? path == route.path : path.starts_with(route.path.substr(0, brace));
    if (!is_same) continue;
    if (route.method == request.method || (request.method == "HEAD" && route.method == "GET")) return &route;
    same_path = &route;
  }
  if (same_path != nullptr) {
    throw ApiError(405, fmt::format("{} takes {}", same_path->path, same_path->method), {},
                   {{"Allow", std::string(same_path->method)}});
  }
  throw ApiError(404, "there is nothing at this path");
}

Exchange Service::judge(const RequestHead& head, bool probes_only) {
  const HttpRequest& request = head.request;
  Exchange exchange;
  exchange.arrival = request.arrival;
  exchange.request_id = request_id_of(request, fmt::format("{}{:08x}", id_prefix_, next_id_++));
  exchange.headers = access_.cors_headers(request);
  exchange.headers.emplace_back("X-Request-Id", exchange.request_id);
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "OPTIONS"};
  const bool is_known =
      std::find(std::begin(kMethods), std::end(kMethods), request.method) != std::end(kMethods);
  exchange.method = is_known ? request.method : "other";
  exchange.handler = "other";
  exchange.client = addresses_.client_of(request.peer, request.headers);
  give_reply(exchange, [&]() -> std::unique_ptr<Reply> {
    const bool is_preflight = request.method == "OPTIONS" && request.header("origin") != nullptr;
    if (is_preflight) {  // a browser asks first
      access_.check_host_and_origin(request);
      return std::make_unique<ReadyReply>(HttpHead{204}, "");
    }
    judge_request(head, probes_only, exchange);
    return nullptr;
  });
  return exchange;
}

void Service::judge_request(const RequestHead& head, bool probes_only, Exchange& exchange) {
  const HttpRequest& request = head.request;
  const Route* route = nullptr;
  try {
    route = find_route(request);
  } catch (const ApiError&) {
    access_.check_host_and_origin(request);  // strangers are not even told what there is not
    throw;
  }
  // A probe asks an address or any name, and learns nothing that others must not know.
  if (!route->is_probe()) access_.check_host_and_origin(request);
  if (probes_only && !route->is_probe())
    throw retry_later(503, "too many connections are open", kRetryWhenFullS);
  exchange.handler = route->path;
  if (!route->is_probe()) {
    exchange.key_idx = access_.check_key(request);
    if (access_.needs_key()) exchange.client = fmt::format("key {}", exchange.key_idx);
  }
  if (route->method == "POST") {
    check_takes_calls();
    if (route->act != &Service::later) check_content_type(request);
    if (route->act == nullptr) admission_.check_room(exchange.client);
  }
  judge_body(head, exchange);
  exchange.route = route;
}

void Service::judge_body(const RequestHead& head, Exchange& exchange) const {
  const bool is_call = exchange.method == "POST";
  exchange.max_body_bytes =
      is_call ? options_.max_body_bytes : std::min(kMaxIgnoredBytes, options_.max_body_bytes);
  if (head.body_bytes > exchange.max_body_bytes) {
    throw ApiError(413, fmt::format("the body has {} bytes; this server reads at most {} here",
                                    head.body_bytes, exchange.max_body_bytes));
  }
  if (head.body_bytes > 0) bodies_.check_room(exchange.client, static_cast<std::size_t>(head.body_bytes));
}

void Service::begin(Exchange& exchange, HttpRequest request, Waker wake) {
  give_reply(exchange, [&] { return dispatch(exchange, std::move(request), std::move(wake)); });
}

std::unique_ptr<Reply> Service::dispatch(Exchange& exchange, HttpRequest request, Waker wake) {
  const Route& route = *exchange.route;
  if (route.act != nullptr) return (this->*route.act)(request);
  if (route.path == "/v1/internal/pages")
    return std::make_unique<PagesReply>(pages_, *model()->engine, std::move(wake));
  check_takes_calls();  // the body may have taken its time
  if (route.path.ends_with("tokenize")) return work_on_text(exchange, std::move(request), std::move(wake));
  const CallContext context = {model(), &options_.calls, &metrics_, &admission_, &workers_, &is_aborting_};
  const auto cache_salt = [this, key_idx = exchange.key_idx](const std::optional<std::string>& wanted) {
    return access_.cache_salt(key_idx, wanted);
  };
  CallIdentity identity = {exchange.client, exchange.request_id, cache_salt};
  const CallKind kind = route.path == "/v1/completions" ? CallKind::kCompletion : CallKind::kChat;
  return std::make_unique<CallReply>(context, std::move(identity), kind, std::move(request), std::move(wake));
}

Exchange Service::refuse(const ApiError& error) const {
  Exchange exchange;
  exchange.reply = error.reply();
  exchange.handler = "other";
  exchange.method = "other";
  exchange.arrival = Clock::now();
  return exchange;
}

void Service::finish(const Exchange& exchange, int status) {
  const double time_s = std::chrono::duration<double>(Clock::now() - exchange.arrival).count();
  const bool is_probe = exchange.handler.starts_with("/health") || exchange.handler == "/metrics";
  if (!is_probe) metrics_.observe_http(exchange.handler, exchange.method, status, time_s);
  if (options_.logs_requests && !is_probe) {
    log_(fmt::format("{} {} {} {:.3f} s, request {}", exchange.method, exchange.handler, status, time_s,
                     exchange.request_id));
  }
}

std::unique_ptr<Reply> Service::page(const HttpRequest& request) { return page_reply(request.path); }

std::unique_ptr<Reply> Service::live(const HttpRequest&) { return json_reply("{\"status\":\"live\"}\n"); }

std::unique_ptr<Reply> Service::ready(const HttpRequest&) {
  if (is_ready()) return json_reply("{\"status\":\"ready\"}\n");
  const char* why = state_ == State::kLoading    ? "loading the model"
                    : state_ == State::kDraining ? "shutting down"
                    : has_stalled_               ? "no step has finished for too long"
                                                 : "the engine has failed";
  throw retry_later(503, why, kRetryAfterS);
}

std::unique_ptr<Reply> Service::metrics_page(const HttpRequest&) {
  const EngineStats stats = has_model_ ? model_->engine->stats() : EngineStats{};
  return std::make_unique<ReadyReply>(HttpHead{200, "text/plain; version=0.0.4; charset=utf-8"},
                                      metrics_.text(stats, options_.has_old_metric_names));
}

std::unique_ptr<Reply> Service::version(const HttpRequest&) {
  return json_reply("{\"version\":\"" QUIRE_VERSION "\"}\n");
}

std::unique_ptr<Reply> Service::models(const HttpRequest&) {
  const auto served = model();
  JsonText out;
  out.begin('{').member("object", "list").key("data").begin('[');
  for (const std::string& name : served->limits.model_names) add_card(out, *served, name);
  return json_reply(out.end(']').end('}').take() + "\n");
}

std::unique_ptr<Reply> Service::model_card(const HttpRequest& request) {
  const auto served = model();
  const std::string name = request.path.substr(kModelsPath.size());
  const auto& names = served->limits.model_names;
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw ApiError(404, fmt::format("The model `{}` does not exist.", name.substr(0, kMaxShownName)),
                   "model");
  }
  JsonText out;
  add_card(out, *served, name);
  return json_reply(out.take() + "\n");
}

std::unique_ptr<Reply> Service::work_on_text(Exchange& exchange, HttpRequest request, Waker wake) {
  const bool is_long = request.body.size() > options_.calls.max_inline_body_bytes;
  const auto act = request.path.starts_with("/tok") ? &tokenize : &detokenize;
  WorkContext context = {exchange.client, Clock::time_point::max(), &admission_, &workers_};
  if (options_.calls.queue_timeout_s > 0)
    context.deadline = request.arrival + std::chrono::duration_cast<Clock::duration>(
                                             std::chrono::duration<double>(options_.calls.queue_timeout_s));
  auto work = [act, served = model(), body = std::move(request.body), hold = std::move(request.body_hold)] {
    return act(body, *served);
  };
  return std::make_unique<WorkReply>(std::move(work), is_long, context, std::move(wake));
}

std::unique_ptr<Reply> Service::later(const HttpRequest& request) {
  throw ApiError(501, fmt::format("{} is not part of this build", request.path.substr(0, 64)));
}

void Service::watch() {
  if (!has_model_) return;
  const std::lock_guard lock(watch_mutex_);
  const EngineStats stats = model_->engine->stats();
  const Clock::time_point now = Clock::now();
  const bool is_idle = stats.num_running + stats.num_waiting == 0;
  if (is_idle || stats.num_steps != num_steps_) {
    num_steps_ = stats.num_steps;
    progress_at_ = now;
  }
  const bool has_stalled = now - progress_at_ > std::chrono::duration<double>(options_.stall_s);
  if (has_stalled && !has_stalled_) {
    log_(fmt::format("no step has finished for {:.0f} s: {} requests run, {} wait", options_.stall_s,
                     stats.num_running, stats.num_waiting));
  }
  has_stalled_ = has_stalled;
  if (options_.logs_stats && now - logged_at_ >= kLogInterval) log_stats(stats, now);
}

void Service::log_stats(const EngineStats& stats, Clock::time_point now) {
  const double time_s = std::chrono::duration<double>(now - logged_at_).count();
  const auto grown = [&](std::int64_t EngineStats::*counter) {
    return static_cast<double>(stats.*counter - logged_.*counter);
  };
  const double queries = grown(&EngineStats::prefix_query_tokens);
  if (stats.num_steps != logged_.num_steps) {
    log_(fmt::format(
        "prompt {:.0f} tokens/s, generation {:.0f} tokens/s; {} running, {} waiting; cache {:.1f} % in use, "
        "prefix hits {:.1f} %; {:.0f} preemptions",
        grown(&EngineStats::num_prompt_tokens) / time_s, grown(&EngineStats::num_generation_tokens) / time_s,
        stats.num_running, stats.num_waiting, stats.kv_usage * 100,
        queries > 0 ? grown(&EngineStats::prefix_hit_tokens) / queries * 100 : 0.0,
        grown(&EngineStats::num_preemptions)));
  }
  logged_ = stats;
  logged_at_ = now;
}

}  // namespace quire
