#include "server/http_server.h"

#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "server/api_error.h"
#include "server/connection.h"
#include "server/handler_memory.h"

namespace quire {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr std::chrono::milliseconds kSweepInterval{100};
constexpr std::chrono::seconds kLastWords{2};  // for the ends of aborted calls to reach their clients
constexpr std::chrono::milliseconds kAcceptPause{50};
constexpr std::chrono::milliseconds kTurnPause{20};  // after a turn that failed
constexpr int kMaxAccepted = 64;                     // in one turn
constexpr std::size_t kSpareConnections = 64;        // beyond the bound
constexpr std::chrono::milliseconds kGrace{250};
constexpr std::size_t kOtherFiles = 64;

// In one try and without waiting.
void turn_away(tcp::socket& socket) {
  const std::string body = ApiError(503, "too many connections are open").body();
  const std::string bytes = fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
      "Retry-After: 1\r\nConnection: close\r\n\r\n{}",
      body.size(), body);
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(bytes), ignored);
}

// Does one thing of several that must not keep each other from being done. Memory may be short.
template <class Act>
void attempt(Act act) {
  try {
    act();
  } catch (const std::exception&) {
  }
}

// One context for each thread, and every connection belongs to one of them. Strands on a context of many
// threads would let connections change threads, but each completion and each wake-up would allocate several
// times, and a strand for which one of those fails never runs again.
struct Loop {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(context);
  std::thread thread;
};

std::vector<std::unique_ptr<Loop>> make_loops(int num_threads) {
  std::vector<std::unique_ptr<Loop>> loops;
  for (int i = 0; i < num_threads; ++i) loops.push_back(std::make_unique<Loop>());
  return loops;
}

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpOptions& http_options, Service& served, LogLine log_line)
      : options(http_options),
        service(served),
        log(std::move(log_line)),
        loops(make_loops(options.num_threads)),
        acceptor(control()),
        sweep_timer(control()) {}

  asio::io_context& control() { return loops.front()->context; }  // of everything but the connections
  asio::awaitable<bool> accept_some();
  asio::awaitable<bool> sweep_once();
  template <class Turn>
  asio::awaitable<void> repeat(const char* last_words, Turn turn);
  void run(Loop& loop);
  void join();
  void fail(const char* last_words) noexcept;
  void welcome(tcp::socket socket);
  bool evict_idle(Clock::time_point before);
  void limit_connections();
  template <class Act>
  void for_each_connection(const Act& act) {
    for (const auto& weak : connections) {
      if (const std::shared_ptr<Connection> connection = weak.lock()) act(connection);
    }
  }
  void shut_down();
  void advance_shutdown(Clock::time_point now);
  void end(ShutdownKind kind);

  const HttpOptions options;
  std::size_t max_connections = 0;
  Service& service;
  LogLine log;
  std::atomic<bool> has_ended_once = false;  // before the loops, which end coroutines that look at it
  std::atomic<int> num_busy = 0;             // likewise

  std::vector<std::unique_ptr<Loop>> loops;
  std::size_t num_accepted = 0;
  tcp::acceptor acceptor;
  asio::steady_timer sweep_timer;
  std::vector<std::weak_ptr<Connection>> connections;  // on the control thread

  std::atomic<int> num_asked = 0;  // how often begin_shutdown() was called
  int num_heard = 0;
  std::atomic<bool> is_shutting_down = false;
  Clock::time_point shutdown_at, abort_at = Clock::time_point::max();

  std::mutex mutex;
  std::condition_variable has_ended;
  std::optional<ShutdownKind> ending;
};

HttpServer::HttpServer(const HttpOptions& options, Service& service, LogLine log)
    : impl_(std::make_unique<Impl>(options, service, std::move(log))) {}

HttpServer::~HttpServer() {
  impl_->end(ShutdownKind::kForced);
  impl_->join();
  impl_->service.stop_workers();  // they wake connections, which end with `impl_`
  impl_->for_each_connection([](const auto& connection) { connection->abandon(); });
}

int HttpServer::start() {
  Impl& impl = *impl_;
  error_code error;
  const auto address = asio::ip::make_address(impl.options.host, error);
  QUIRE_CHECK(!error,
              "\"{}\" is not an address to listen on; 127.0.0.1 is this machine alone, 0.0.0.0 is everybody",
              impl.options.host);
  const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(impl.options.port));
  impl.acceptor.open(endpoint.protocol(), error);
  if (!error) impl.acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) impl.acceptor.bind(endpoint, error);
  if (!error) impl.acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) impl.acceptor.non_blocking(true, error);
  QUIRE_CHECK_KIND(kExhausted, !error, "cannot listen on {} port {}: {}", impl.options.host,
                   impl.options.port, error.message());
  const auto accept = [&impl] { return impl.accept_some(); };
  const auto sweep = [&impl] { return impl.sweep_once(); };
  asio::co_spawn(impl.control(),
                 impl.repeat("no connection can be accepted any more: the process ends", accept),
                 asio::detached);
  asio::co_spawn(impl.control(), impl.repeat("nobody watches over time any more: the process ends", sweep),
                 asio::detached);
  impl.limit_connections();
  int num_started = 0;
  try {
    for (; num_started < impl.options.num_threads; ++num_started) {
      Loop& loop = *impl.loops[static_cast<std::size_t>(num_started)];
      loop.thread = std::thread([&impl, &loop] { impl.run(loop); });
    }
  } catch (const std::system_error& failure) {
    impl.end(ShutdownKind::kForced);
    throw_error(ErrorKind::kExhausted, "cannot start thread {} of {} for connections: {}", num_started + 1,
                impl.options.num_threads, failure.what());
  }
  return impl.acceptor.local_endpoint().port();
}

void HttpServer::begin_shutdown() { ++impl_->num_asked; }

bool HttpServer::is_shutting_down() const { return impl_->is_shutting_down; }

ShutdownKind HttpServer::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->has_ended.wait(lock, [this] { return impl_->ending.has_value(); });
  lock.unlock();
  impl_->join();
  return *impl_->ending;
}

void HttpServer::Impl::end(ShutdownKind kind) {
  {
    const std::lock_guard lock(mutex);
    if (!ending) ending = kind;
  }
  has_ended_once = true;
  for (const auto& loop : loops) loop->context.stop();
  has_ended.notify_all();
}

void HttpServer::Impl::join() {
  for (const auto& loop : loops) {
    if (loop->thread.joinable()) loop->thread.join();
  }
}

// A thread of connections. What a completion throws (memory ran out while a coroutine was being resumed) ends
// that coroutine; the thread goes on with the others.
void HttpServer::Impl::run(Loop& loop) {
  for (;;) {
    try {
      loop.context.run();
      return;
    } catch (const std::exception&) {
    }
  }
}

// Nobody is served any more when one of the server's own coroutines is gone: whoever waits for the end is
// told.
void HttpServer::Impl::fail(const char* last_words) noexcept {
  if (has_ended_once) return;
  attempt([&] { log(last_words); });
  end(ShutdownKind::kFailed);
}

// One turn after another until a turn returns false. What a turn throws does not end the loop.
template <class Turn>
asio::awaitable<void> HttpServer::Impl::repeat(const char* last_words, Turn turn) {
  struct Lifeline {  // also ends when memory runs out while the coroutine is resumed, which destroys it
    Impl& impl;
    const char* last_words;
    ~Lifeline() { impl.fail(last_words); }
  } const lifeline{*this, last_words};
  for (;;) {
    try {
      if (!co_await turn()) co_return;
      continue;
    } catch (const std::exception&) {
    }
    std::this_thread::sleep_for(kTurnPause);  // a timer would need memory
  }
}

// Accepts in the coroutine itself, where a lack of memory costs one connection; an operation that accepts
// would lose the coroutine.
asio::awaitable<bool> HttpServer::Impl::accept_some() {
  error_code error;
  reserve_handler_memory();
  co_await acceptor.async_wait(tcp::acceptor::wait_read, asio::redirect_error(asio::use_awaitable, error));
  if (error == asio::error::operation_aborted) co_return false;
  for (int i = 0; i < kMaxAccepted && !error; ++i) {
    tcp::socket socket(loops[num_accepted++ % loops.size()]->context);
    acceptor.accept(socket, error);
    if (!error) welcome(std::move(socket));
  }
  if (!error || error == asio::error::would_block || error == asio::error::try_again) co_return true;
  evict_idle(Clock::now());  // no file descriptor left, most likely: somebody has to go
  asio::steady_timer pause(control(), kAcceptPause);
  reserve_handler_memory();
  co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
  co_return true;
}

// Each connection is a file; weights, logs and listeners need some as well.
void HttpServer::Impl::limit_connections() {
  max_connections = static_cast<std::size_t>(options.max_connections);
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return;
  const std::size_t others = kOtherFiles + 2 * kSpareConnections;
  const std::size_t room = files.rlim_cur > others ? static_cast<std::size_t>(files.rlim_cur) - others : 1;
  if (room >= max_connections) return;
  max_connections = room;
  log(fmt::format("the process may open {} files: at most {} connections are taken instead of {}",
                  files.rlim_cur, room, options.max_connections));
}

// Closes the connection that has been idle for longest, if that began before `before`.
bool HttpServer::Impl::evict_idle(Clock::time_point before) {
  std::shared_ptr<Connection> oldest;
  for_each_connection([&](const std::shared_ptr<Connection>& connection) {
    const auto since = connection->idle_since();
    if (!since || *since >= before) return;
    before = *since;
    oldest = connection;
  });
  if (oldest) oldest->evict();
  return oldest != nullptr;
}

// When all places are taken, silent connections make room for new ones; those that have just come get a
// moment to speak. When nobody is silent, a few more are taken for health checks: a server that is busy is
// alive.
void HttpServer::Impl::welcome(tcp::socket socket) {
  std::erase_if(connections, [](const auto& connection) { return connection.expired(); });
  const Clock::time_point now = Clock::now();
  const bool is_spare = connections.size() >= max_connections && !evict_idle(now - kGrace);
  const bool is_full = is_spare && connections.size() >= max_connections + kSpareConnections;
  // Who is closed may need a moment until it is gone.
  const bool is_flooded = connections.size() >= max_connections + 2 * kSpareConnections;
  if (is_flooded || (is_full && !evict_idle(now))) {
    turn_away(socket);
    return;
  }
  const auto connection =
      std::make_shared<Connection>(std::move(socket), options, service, num_busy, is_spare);
  connections.push_back(connection);
  connection->start();
}

asio::awaitable<bool> HttpServer::Impl::sweep_once() {
  error_code error;
  sweep_timer.expires_after(kSweepInterval);
  reserve_handler_memory();
  co_await sweep_timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return false;
  const Clock::time_point now = Clock::now();
  attempt([&] { service.watch(); });
  for_each_connection([now](const auto& connection) { connection->sweep(now); });
  attempt([&] {
    for (; num_heard < num_asked; ++num_heard) shut_down();
  });
  if (service.has_failed() && !is_shutting_down) {
    attempt([&] { log("the engine has failed: the process ends"); });
    shut_down();
  }
  if (is_shutting_down) advance_shutdown(now);
  co_return true;
}

void HttpServer::Impl::shut_down() {
  if (is_shutting_down) {
    end(ShutdownKind::kForced);
    return;
  }
  service.drain();
  shutdown_at = Clock::now();
  is_shutting_down = true;
  attempt([&] {
    log(fmt::format("shutting down: {} answers run, new calls are refused", service.num_answers()));
  });
}

// New connections are still taken, so that they are told why there is no answer.
void HttpServer::Impl::advance_shutdown(Clock::time_point now) {
  if (num_busy == 0 && service.has_failed()) {
    end(ShutdownKind::kFailed);
  } else if (num_busy == 0) {
    end(abort_at == Clock::time_point::max() ? ShutdownKind::kDrained : ShutdownKind::kTimedOut);
  } else if (abort_at != Clock::time_point::max()) {
    if (now >= abort_at + kLastWords) end(ShutdownKind::kTimedOut);
  } else if (now >= shutdown_at + std::chrono::duration<double>(options.shutdown_timeout_s)) {
    abort_at = now;
    attempt([&] {
      log(fmt::format("{} answers still run after {} s and are ended", service.num_answers(),
                      options.shutdown_timeout_s));
    });
    service.abort_calls();
    for_each_connection([](const auto& connection) { connection->wake(); });
  }
}

}  // namespace quire
