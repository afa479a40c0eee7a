#include "server/connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "server/api_error.h"
#include "server/body_reader.h"
#include "server/handler_memory.h"
#include "server/http_wire.h"

namespace quire {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kReadBytes = 4096;
constexpr std::size_t kMaxLingerBytes = 16 << 20;  // of a refused body, read so that the refusal is seen
constexpr double kLingerS = 2;
constexpr Clock::rep kBusy = Clock::duration::max().count();  // in place of a time
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

struct Connection::Incoming {
  explicit Incoming(std::size_t max_header_bytes) : scanner(max_header_bytes) {}

  HeadScanner scanner;
  RequestHead head;
  Exchange exchange;  // has a reply as soon as nothing more is to be read
  std::optional<BodyReader> body;
  BodyBudget::Share share;
  bool keeps_alive = false;  // until the request's end has been found, what follows cannot be understood
  bool lingers = true;       // something may come that nobody reads

  void end(bool may_keep_alive) {
    keeps_alive = head.keeps_alive && may_keep_alive;
    lingers = false;
  }
};

Connection::Connection(asio::ip::tcp::socket socket, const HttpOptions& options, Service& service,
                       std::atomic<int>& num_busy, bool is_spare)
    : socket_(std::move(socket)),
      options_(options),
      service_(service),
      num_busy_(num_busy),
      is_spare_(is_spare),
      idle_since_(Clock::now().time_since_epoch().count()),
      deadline_(Clock::duration::max().count()) {}

void Connection::start() {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  peer_ = socket_.remote_endpoint(ignored).address().to_string();
  reserve_handler_memory();
  asio::co_spawn(socket_.get_executor(), serve(shared_from_this()), asio::detached);
}

void Connection::abandon() {
  event_.abandon();
  room_.abandon();
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

std::optional<Clock::time_point> Connection::idle_since() const {
  const Clock::rep since = idle_since_.load(std::memory_order_relaxed);
  if (since == kBusy) return std::nullopt;
  return Clock::time_point(Clock::duration(since));
}

void Connection::evict() noexcept {
  const Clock::rep since = idle_since_.exchange(kBusy);  // nobody evicts it twice
  try {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      if (!self->is_idle()) return;
      self->close();
      self->event_.notify();
    });
  } catch (const std::exception&) {  // there was no memory for it; the next who needs its place tries again
    Clock::rep busy = kBusy;
    idle_since_.compare_exchange_strong(busy, since);
  }
}

void Connection::set_deadline(Clock::time_point deadline) {
  deadline_.store(deadline.time_since_epoch().count(), std::memory_order_relaxed);
}

void Connection::set_phase(Phase phase) {
  phase_ = phase;
  idle_since_ = is_idle() ? Clock::now().time_since_epoch().count() : kBusy;
}

bool Connection::is_idle() const {
  return phase_ == Phase::kIdle || phase_ == Phase::kHeader || phase_ == Phase::kLinger;
}

void Connection::enter(Phase phase, double timeout_s) {
  set_phase(phase);
  is_overdue_ = false;
  set_deadline(Clock::now() + to_duration(timeout_s));
}

void Connection::close() {
  is_closed_ = true;
  error_code ignored;
  socket_.close(ignored);
  room_.notify();
}

// The coroutine's frame is there before it is spawned: co_spawn would lose the failure to make one. The same
// holds for serve().
asio::awaitable<void> Connection::read_all(std::shared_ptr<Connection> self) {
  struct Farewell {  // also when memory runs out while this coroutine is resumed, which destroys it
    Connection& connection;
    ~Farewell() {
      connection.is_closed_ = true;
      connection.has_missed_wake_ = true;
    }
  } const farewell{*self};
  try {
    co_await self->read_until_end();
  } catch (const std::exception&) {  // nothing more can be read
  }
  self->is_closed_ = true;
  self->event_.notify();
}

asio::awaitable<void> Connection::read_until_end() {
  std::array<char, kReadBytes> chunk;
  error_code error;
  while (!is_closed_) {
    reserve_handler_memory();
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
    while (in_.size() > max_unread_bytes() && !is_closed_) co_await room_.wait();
  }
}

asio::awaitable<void> Connection::serve(std::shared_ptr<Connection> self) {
  struct Closer {  // also when memory runs out while this coroutine is resumed, which destroys it
    Connection& connection;
    ~Closer() { connection.close(); }
  } const closer{*self};
  try {
    reserve_handler_memory();
    asio::co_spawn(self->socket_.get_executor(), read_all(self), asio::detached);
    co_await self->serve_requests();
  } catch (const std::exception&) {  // out of memory for this connection: the others go on
  }
}

asio::awaitable<void> Connection::serve_requests() {
  // Not in the loop's condition: GCC 12 ends the coroutine that is awaited there before it has begun.
  while (!is_closed_) {
    const bool is_of_use = co_await serve_request();
    if (!is_of_use) co_return;
  }
}

// Reads one request and answers it. False when the connection is of no more use.
asio::awaitable<bool> Connection::serve_request() {
  Incoming incoming(options_.max_header_bytes);
  if (!co_await receive_head(incoming)) co_return false;
  if (!incoming.exchange.reply) {
    if (!co_await receive_body(incoming)) co_return false;
  }
  const bool is_of_use = co_await answer(incoming);
  if (incoming.lingers) co_await linger();
  co_return is_of_use;
}

// False when the connection is of no more use.
asio::awaitable<bool> Connection::answer(Incoming& incoming) {
  struct Busy {  // also when this coroutine is destroyed while it waits
    std::atomic<int>& count;
    explicit Busy(std::atomic<int>& num_busy) : count(num_busy) { ++count; }
    ~Busy() { --count; }
  } const busy(num_busy_);
  if (!incoming.exchange.reply) {
    const std::weak_ptr<Connection> weak = weak_from_this();
    service_.begin(incoming.exchange, std::move(incoming.head.request), [weak] {
      if (const auto self = weak.lock()) self->wake();
    });
  }
  co_return co_await send(incoming);
}

// Reads the head of one request and has it judged. False when there is nobody to answer.
asio::awaitable<bool> Connection::receive_head(Incoming& incoming) {
  enter(Phase::kIdle, options_.idle_timeout_s);
  for (;;) {
    if (in_.size() > 0 && parse_head(incoming)) co_return true;
    if (is_closed_) co_return false;
    if (is_overdue_) {
      if (phase_ == Phase::kIdle) co_return false;
      incoming.exchange = service_.refuse(ApiError(408, "the request came too slowly"));
      co_return true;
    }
    co_await event_.wait();
  }
}

// True when the head is there, or refused.
bool Connection::parse_head(Incoming& incoming) {
  if (phase_ == Phase::kIdle) enter(Phase::kHeader, options_.header_timeout_s);
  RequestHead& head = incoming.head;
  try {
    const std::optional<std::size_t> end = incoming.scanner.find_end(unread());
    if (!end) return false;
    const std::size_t begin = incoming.scanner.begin();
    head = parse_request_head(unread().substr(begin, *end - begin));
    consume(*end);
  } catch (const ApiError& error) {
    incoming.exchange = service_.refuse(error);
    return true;
  }
  head.request.peer = peer_;
  incoming.exchange = service_.judge(head, is_spare_);
  if (!incoming.exchange.reply) return true;
  // The next request can be found when this one's body is none, or here.
  const bool is_length_here = head.framing == Framing::kLength && in_.size() >= head.body_bytes;
  if (is_length_here) consume(static_cast<std::size_t>(head.body_bytes));
  if (is_length_here || head.framing == Framing::kNone) incoming.end(!is_spare_);
  return true;
}

// Reads the body of a request that was not refused. False when there is nobody to answer.
asio::awaitable<bool> Connection::receive_body(Incoming& incoming) {
  const RequestHead& head = incoming.head;
  incoming.share = service_.body_share(incoming.exchange);
  incoming.body.emplace(head.framing, head.body_bytes, incoming.exchange.max_body_bytes);
  enter(Phase::kBody, options_.body_timeout_s);
  if (head.expects_continue && in_.size() == 0) {  // curl asks before it sends a long body
    co_await write(kContinue);
    enter(Phase::kBody, options_.body_timeout_s);
  }
  while (!parse_body(incoming)) {
    if (is_closed_) co_return false;
    if (is_overdue_) {
      incoming.exchange.reply = ApiError(408, "the body of the request came too slowly").reply();
      break;
    }
    co_await event_.wait();
  }
  co_return true;
}

// True when the body is there, or refused.
bool Connection::parse_body(Incoming& incoming) {
  BodyReader& body = *incoming.body;
  try {
    const std::size_t num_bytes = body.put(unread());
    consume(num_bytes);
    incoming.share.grow_to(body.num_bytes());
    if (body.is_done()) {
      HttpRequest& request = incoming.head.request;
      request.body = body.take();
      request.body_hold = std::make_shared<const BodyBudget::Share>(std::move(incoming.share));
      request.arrival = Clock::now();
      incoming.end(!is_spare_);
      return true;
    }
    if (num_bytes == 0 && in_.size() > max_unread_bytes())
      throw ApiError(400, "the body's chunks have extensions or trailers that are too long");
    return false;
  } catch (const ApiError& error) {
    incoming.exchange.reply = error.reply();
    return true;
  }
}

std::string_view Connection::unread() const {
  return {static_cast<const char*>(in_.data().data()), in_.size()};
}

void Connection::consume(std::size_t num_bytes) {
  in_.consume(num_bytes);
  if (in_.size() <= max_unread_bytes()) room_.notify();
}

// The longest head, and what was read with its last bytes.
std::size_t Connection::max_unread_bytes() const { return options_.max_header_bytes + kReadBytes; }

// Writes the reply piece by piece. False when the connection is of no more use.
asio::awaitable<bool> Connection::send(Incoming& incoming) {
  Exchange& exchange = incoming.exchange;
  WireFormat wire(incoming.head.is_http_10, incoming.keeps_alive, exchange.method == "HEAD");
  int status = 499;  // the client went before anything was said
  for (;;) {
    event_.clear();
    ReplyOutput output = exchange.reply->poll();
    if (output.head) {
      status = output.head->status;
      for (auto& header : exchange.headers) output.head->headers.push_back(header);
    }
    const std::string bytes = wire.bytes_of(output);
    if (!bytes.empty() && !co_await write(bytes)) break;
    if (output.shared_body && wire.sends_body()) {
      if (!co_await write(*output.shared_body)) break;
    }
    if (output.is_last) {
      service_.finish(exchange, status);
      co_return wire.keeps_alive();
    }
    set_phase(Phase::kReply);
    set_deadline(output.wake_at);
    if (is_closed_) break;
    co_await event_.wait();
    if (is_closed_) break;
  }
  exchange.reply.reset();  // cancels what still runs
  service_.finish(exchange, 499);
  co_return false;
}

asio::awaitable<bool> Connection::write(std::string_view bytes) {
  if (is_closed_) co_return false;
  // Nearly always the socket takes everything at once.
  error_code error;
  std::size_t num_bytes = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), error);
  if (error == asio::error::would_block || error == asio::error::try_again) {
    num_bytes = 0;
    error = {};
  }
  if (!error && num_bytes < bytes.size()) {
    enter(Phase::kWrite, options_.write_timeout_s);
    const auto rest = asio::buffer(bytes.data() + num_bytes, bytes.size() - num_bytes);
    reserve_handler_memory();
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
  room_.notify();
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  while (!is_closed_ && !is_overdue_) co_await event_.wait();
}

}  // namespace quire
