#include "server/connection.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>
#include <utility>

#include "server/api_error.h"
#include "server/http_wire.h"

namespace quire {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t kReadBytes = 4096;
constexpr std::size_t kMaxUnreadBytes = 64 << 10;  // of requests behind the one that is being answered
constexpr std::size_t kMaxLingerBytes = 16 << 20;  // of a refused body, read so that the refusal is seen
constexpr double kLingerS = 2;
constexpr std::size_t kMaxHeaders = 256;

Clock::duration seconds(double time_s) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time_s));
}

int status_of(const error_code& error) {
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  return 400;
}

std::string refusal(int status) {
  switch (status) {
    case 408:
      return "the request came too slowly";
    case 413:
      return "the body is larger than this server reads";
    case 431:
      return "the headers are larger than this server reads";
    default:
      return "this is not a request of HTTP/1.1 that the server understands";
  }
}

}  // namespace

struct Connection::Incoming {
  http::request_parser<http::string_body> parser;
  HttpRequest request;
  int refused_status = 0;
  bool has_begun = false, has_head = false, keeps_alive = false, is_http_10 = false;

  explicit Incoming(const HttpOptions& options) {
    parser.eager(true);
    parser.header_limit(static_cast<std::uint32_t>(options.max_header_bytes));
    parser.body_limit(options.max_body_bytes);
  }

  // Moves what was parsed into `request`.
  void take() {
    auto message = parser.release();
    keeps_alive = message.keep_alive();
    is_http_10 = message.version() < 11;
    request.method = std::string(message.method_string());
    const auto path = decode_path(std::string_view(message.target().data(), message.target().size()));
    std::size_t num_headers = 0;
    for (const auto& field : message) {
      ++num_headers;
      request.headers.emplace_back(lower_case({field.name_string().data(), field.name_string().size()}),
                                   std::string(field.value()));
    }
    request.body = std::move(message.body());
    if (!path || message.version() < 10 || message.version() > 11) refused_status = 400;
    if (num_headers > kMaxHeaders) refused_status = 431;
    request.path = path.value_or("");
  }
};

Connection::Connection(asio::ip::tcp::socket socket, const HttpOptions& options, Service& service,
                       std::atomic<int>& num_busy)
    : socket_(std::move(socket)),
      options_(options),
      service_(service),
      num_busy_(num_busy),
      room_(socket_.get_executor(), Clock::time_point::max()),
      deadline_(Clock::duration::max().count()) {}

void Connection::start() {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  const auto self = shared_from_this();
  asio::co_spawn(
      socket_.get_executor(), [self] { return self->read_all(); }, asio::detached);
  asio::co_spawn(
      socket_.get_executor(), [self] { return self->serve(); }, asio::detached);
}

void Connection::wake() noexcept {
  try {
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->event_.notify(); });
  } catch (const std::exception&) {
    has_missed_wake_ = true;
  }
}

void Connection::sweep(Clock::time_point now) noexcept {
  if (has_missed_wake_.exchange(false)) wake();
  if (now.time_since_epoch().count() < deadline_.load(std::memory_order_relaxed)) return;
  try {
    asio::post(socket_.get_executor(), [self = shared_from_this(), now] {
      if (now.time_since_epoch().count() < self->deadline_) return;
      self->set_deadline(Clock::time_point::max());
      self->is_overdue_ = true;
      if (self->phase_ == Phase::kWrite) self->close();  // the peer does not read
      self->event_.notify();
    });
  } catch (const std::exception&) {  // the deadline stays, and the next sweep comes soon
  }
}

void Connection::set_deadline(Clock::time_point deadline) {
  deadline_.store(deadline.time_since_epoch().count(), std::memory_order_relaxed);
}

void Connection::enter(Phase phase, double timeout_s) {
  phase_ = phase;
  is_overdue_ = false;
  set_deadline(Clock::now() + seconds(timeout_s));
}

void Connection::close() {
  is_closed_ = true;
  error_code ignored;
  socket_.close(ignored);
  room_.cancel();
}

asio::awaitable<void> Connection::read_all() {
  const auto self = shared_from_this();
  struct Farewell {  // also when memory runs out while this coroutine is resumed, which destroys it
    Connection& connection;
    ~Farewell() {
      connection.is_closed_ = true;
      connection.has_missed_wake_ = true;
    }
  } const farewell{*this};
  try {
    co_await read_until_end();
  } catch (const std::exception&) {  // nothing more can be read
  }
  is_closed_ = true;
  event_.notify();
}

asio::awaitable<void> Connection::read_until_end() {
  std::array<char, kReadBytes> chunk;
  error_code error;
  while (!is_closed_) {
    const std::size_t num_bytes = co_await socket_.async_read_some(
        asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    if (phase_ == Phase::kLinger) {
      num_discarded_ += num_bytes;
      if (num_discarded_ > kMaxLingerBytes) break;
      continue;
    }
    const auto space = in_.prepare(num_bytes);
    asio::buffer_copy(space, asio::buffer(chunk, num_bytes));
    in_.commit(num_bytes);
    event_.notify();
    error_code cancelled;
    while (in_.size() > kMaxUnreadBytes && !is_closed_) {
      co_await room_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    }
  }
}

asio::awaitable<void> Connection::serve() {
  const auto self = shared_from_this();
  struct Closer {  // also when memory runs out while this coroutine is resumed, which destroys it
    Connection& connection;
    ~Closer() { connection.close(); }
  } const closer{*this};
  try {
    co_await serve_requests();
  } catch (const std::exception&) {  // out of memory for this connection: the others go on
  }
}

asio::awaitable<void> Connection::serve_requests() {
  while (!is_closed_) {
    Incoming incoming(options_);
    if (!co_await receive(incoming)) co_return;
    const bool is_refused = incoming.refused_status != 0;
    const bool is_sent = co_await answer(incoming);
    if (is_refused) co_await linger();
    if (!is_sent || is_refused || !incoming.keeps_alive) co_return;
  }
}

// False when the connection is of no more use.
asio::awaitable<bool> Connection::answer(Incoming& incoming) {
  struct Busy {  // also when this coroutine is destroyed while it waits
    std::atomic<int>& count;
    explicit Busy(std::atomic<int>& num_busy) : count(num_busy) { ++count; }
    ~Busy() { --count; }
  } const busy(num_busy_);
  if (incoming.refused_status != 0) {
    Exchange exchange;
    exchange.reply = service_.refuse(incoming.refused_status, refusal(incoming.refused_status));
    exchange.handler = "other";
    exchange.method = "other";
    exchange.arrival = Clock::now();
    co_return co_await send(std::move(exchange), incoming);
  }
  const std::weak_ptr<Connection> weak = weak_from_this();
  Exchange exchange = service_.handle(std::move(incoming.request), [weak] {
    if (const auto self = weak.lock()) self->wake();
  });
  co_return co_await send(std::move(exchange), incoming);
}

// Reads one request. False when there is nobody to answer.
asio::awaitable<bool> Connection::receive(Incoming& incoming) {
  enter(Phase::kIdle, options_.idle_timeout_s);
  for (;;) {
    if (in_.size() > 0 && parse(incoming)) break;
    if (incoming.has_head && phase_ == Phase::kHeader) {
      enter(Phase::kBody, options_.body_timeout_s);
      co_await answer_continue(incoming);
    }
    if (is_closed_) co_return false;
    if (is_overdue_) {
      if (phase_ == Phase::kIdle) co_return false;
      incoming.refused_status = 408;
      break;
    }
    co_await event_.wait();
  }
  if (incoming.refused_status == 0) incoming.take();
  incoming.request.arrival = Clock::now();
  co_return true;
}

// Feeds the parser with what has come. True when the request is complete, or refused.
bool Connection::parse(Incoming& incoming) {
  if (phase_ == Phase::kIdle) enter(Phase::kHeader, options_.header_timeout_s);
  error_code error;
  while (in_.size() > 0 && !incoming.parser.is_done()) {
    const std::size_t num_bytes = incoming.parser.put(in_.data(), error);
    in_.consume(num_bytes);
    if (error == http::error::need_more) error = {};
    if (error) {
      incoming.refused_status = status_of(error);
      return true;
    }
    if (num_bytes == 0) break;
  }
  if (in_.size() <= kMaxUnreadBytes) room_.cancel();
  incoming.has_head = incoming.parser.is_header_done();
  return incoming.parser.is_done();
}

// curl asks before it sends a long body.
asio::awaitable<void> Connection::answer_continue(Incoming& incoming) {
  const auto& head = incoming.parser.get();
  if (head.version() < 11 || !boost::beast::iequals(head[http::field::expect], "100-continue")) co_return;
  co_await write("HTTP/1.1 100 Continue\r\n\r\n");
  enter(Phase::kBody, options_.body_timeout_s);
}

// Writes the reply piece by piece. False when the connection is of no more use.
asio::awaitable<bool> Connection::send(Exchange exchange, const Incoming& incoming) {
  WireFormat wire(incoming.is_http_10, incoming.keeps_alive && incoming.refused_status == 0,
                  exchange.method == "HEAD");
  int status = 499;  // the client went before anything was said
  for (;;) {
    event_.clear();
    ReplyOutput output = exchange.reply->poll();
    if (output.head) {
      status = output.head->status;
      for (auto& header : exchange.headers) output.head->headers.push_back(header);
    }
    const bool is_last = output.is_last;
    const Clock::time_point wake_at = output.wake_at;
    std::string bytes = wire.bytes_of(std::move(output));
    if (!bytes.empty() && !co_await write(std::move(bytes))) break;
    if (is_last) {
      service_.finish(exchange, status);
      co_return wire.keeps_alive();
    }
    phase_ = Phase::kReply;
    set_deadline(wake_at);
    if (is_closed_) break;
    co_await event_.wait();
    if (is_closed_) break;
  }
  exchange.reply.reset();  // cancels what still runs
  service_.finish(exchange, 499);
  co_return false;
}

asio::awaitable<bool> Connection::write(std::string bytes) {
  if (is_closed_) co_return false;
  // Nearly always the socket takes everything at once.
  error_code error;
  std::size_t num_bytes = socket_.write_some(asio::buffer(bytes), error);
  if (error == asio::error::would_block || error == asio::error::try_again) {
    num_bytes = 0;
    error = {};
  }
  if (!error && num_bytes < bytes.size()) {
    enter(Phase::kWrite, options_.write_timeout_s);
    const auto rest = asio::buffer(bytes) + num_bytes;
    co_await asio::async_write(socket_, rest, asio::redirect_error(asio::use_awaitable, error));
    set_deadline(Clock::time_point::max());
  }
  if (error) is_closed_ = true;
  co_return !error;
}

// Closing with unread bytes would reset the connection, and the client might never see why it was refused.
asio::awaitable<void> Connection::linger() {
  enter(Phase::kLinger, kLingerS);
  in_.clear();
  room_.cancel();
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  while (!is_closed_ && !is_overdue_) co_await event_.wait();
}

}  // namespace quire
