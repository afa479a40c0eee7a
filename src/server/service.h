// The server without sockets: who may ask, which path leads where, and what state the process is in. Threads
// of connections call it; it never waits. A request is judged when its head is there, before its body is
// read.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "server/access.h"
#include "server/body_budget.h"
#include "server/call_reply.h"
#include "server/client_address.h"
#include "server/pages_reply.h"
#include "server/request_head.h"

namespace quire {

struct ServiceOptions {
  AccessOptions access;
  std::vector<std::string> trusted_proxies;  // see ClientAddresses
  CallOptions calls;
  std::int64_t max_queued_answers = 1024;
  std::int64_t max_queued_tokens = 0;
  std::int64_t max_answers_of_client = 0;         // see AdmissionLimits
  std::size_t max_body_bytes = 8 << 20;           // of one request
  std::size_t max_unread_body_bytes = 256 << 20;  // of all requests together, until they are parsed
  int num_workers = 2;
  double stall_s = 60;  // with work and without a finished step for so long, the server is not ready
  bool has_old_metric_names = false;
  bool logs_requests = false;
  bool logs_stats = true;  // every 10 s while there is work
};

// A line for people. Any thread calls it. The service hands over no prompts, no answers and no keys.
using LogLine = std::function<void(std::string_view)>;

struct Route;

// One request on its way. The connection sends `headers` with the reply's own, and calls Service::finish at
// the end.
struct Exchange {
  std::unique_ptr<Reply> reply;
  Headers headers;
  std::string_view handler;  // for metrics: a route's name, never what a client sent
  std::string method;
  std::string request_id;
  Clock::time_point arrival;
  const Route* route = nullptr;  // null for what was refused
  std::size_t key_idx = 0;
  std::string client;              // who is counted for it: a key, or else an address
  std::size_t max_body_bytes = 0;  // so much may come for it
};

class Service {
 public:
  // Throws Error{kInvalidArgument} for a trusted proxy that is no address.
  Service(ServiceOptions options, LogLine log);

  void attach(ServedModel model);  // once; until then calls are told that the model is loading
  void drain();                    // calls that come from now on are refused, the others go on
  void abort_calls();              // running answers end with "abort" as soon as their replies are polled
  void stop_workers();             // no waker is called from then on but by the engine

  // The one place that judges a request by its head: Host, Origin, path, method, key, type, length, and room
  // in the queue. The exchange has a reply when the request is refused, or is answered without its body. With
  // `probes_only` everything but health checks is refused: too many connections are open.
  Exchange judge(const RequestHead& head, bool probes_only = false);
  // What is held for a body of such an exchange while it arrives; begin() takes it with the request.
  BodyBudget::Share body_share(const Exchange& exchange) const { return bodies_.share_of(exchange.client); }
  // Gives an exchange without a reply one, when the whole request is there. Throws std::bad_alloc at most.
  void begin(Exchange& exchange, HttpRequest request, Waker wake);
  // For what never became a request: a broken head.
  Exchange refuse(const ApiError& error) const;
  void finish(const Exchange& exchange, int status);

  // To be called some times a second: watches the engine's progress and logs figures.
  void watch();

  std::int64_t num_answers() const { return admission_.num_answers(); }  // that run or wait
  bool is_ready() const;
  bool has_failed() const;  // the engine takes no more calls, and never will again

 private:
  enum class State { kLoading, kServing, kDraining };
  static const Route kRoutes[];

  static const Route* find_route(const HttpRequest& request);  // throws ApiError 404, 405
  void judge_request(const RequestHead& head, bool probes_only, Exchange& exchange);
  void judge_body(const RequestHead& head, Exchange& exchange) const;
  std::unique_ptr<Reply> work_on_text(Exchange& exchange, HttpRequest request, Waker wake);
  std::unique_ptr<Reply> dispatch(Exchange& exchange, HttpRequest request, Waker wake);
  std::shared_ptr<const ServedModel> model() const;  // throws ApiError 503 while there is none
  void check_takes_calls() const;                    // throws ApiError 503
  void log_stats(const EngineStats& stats, Clock::time_point now);

  std::unique_ptr<Reply> page(const HttpRequest&);
  std::unique_ptr<Reply> live(const HttpRequest&);
  std::unique_ptr<Reply> ready(const HttpRequest&);
  std::unique_ptr<Reply> metrics_page(const HttpRequest&);
  std::unique_ptr<Reply> version(const HttpRequest&);
  std::unique_ptr<Reply> models(const HttpRequest&);
  std::unique_ptr<Reply> model_card(const HttpRequest& request);
  std::unique_ptr<Reply> later(const HttpRequest& request);

  const ServiceOptions options_;
  LogLine log_;
  Access access_;
  ClientAddresses addresses_;
  Metrics metrics_;
  Admission admission_;
  BodyBudget bodies_;
  PagesFeed pages_;
  std::atomic<State> state_ = State::kLoading;
  std::atomic<bool> is_aborting_ = false;
  std::atomic<std::uint64_t> next_id_ = 1;
  std::string id_prefix_;
  std::shared_ptr<const ServedModel> model_;  // written once, before has_model_
  std::atomic<bool> has_model_ = false;

  std::atomic<bool> has_stalled_ = false;
  mutable std::mutex watch_mutex_;  // what follows belongs to watch()
  std::int64_t num_steps_ = -1;
  Clock::time_point progress_at_ = Clock::now(), logged_at_ = Clock::now();
  EngineStats logged_;

  // Last, so that it ends first: its work refers to the rest.
  WorkerPool workers_;
};

}  // namespace quire
