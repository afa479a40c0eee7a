#include "load/http_call.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <chrono>

#include "base/check.h"

namespace quire {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

// A stream of a hundred thousand tokens stays well below; a server that sends without end does not.
constexpr std::uint64_t kMaxAnswerBytes = 256u << 20;

// Of Retry-After in seconds; its other form, a date, says nothing that a load test could use.
std::optional<double> seconds_of(beast::string_view text) {
  double seconds = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || at != text.data() + text.size() || !(seconds >= 0)) return std::nullopt;
  return seconds;
}

}  // namespace

HttpUrl HttpUrl::parse(const std::string& flag, const std::string& text) {
  constexpr std::string_view kScheme = "http://";
  QUIRE_CHECK(text.starts_with(kScheme), "{} must begin with {} (for https put a proxy in front), got \"{}\"",
              flag, kScheme, text);
  HttpUrl url;
  const std::string rest = text.substr(kScheme.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  url.path = rest.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  std::string authority = rest.substr(0, slash);
  const std::size_t bracket = authority.find(']');  // of an IPv6 address
  const std::size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos) {
    url.port = authority.substr(colon + 1);
    authority.resize(colon);
  }
  if (bracket != std::string::npos && authority.front() == '[') authority = authority.substr(1, bracket - 1);
  url.host = authority;
  int port = 0;
  const auto [at, error] = std::from_chars(url.port.data(), url.port.data() + url.port.size(), port);
  const bool is_port =
      error == std::errc() && at == url.port.data() + url.port.size() && port > 0 && port < 65536;
  const bool is_clean =
      std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c == '@' || c == '?'; });
  QUIRE_CHECK(!url.host.empty() && is_port && is_clean, "{} must be http://HOST[:PORT][/PATH], got \"{}\"",
              flag, text);
  return url;
}

std::string HttpUrl::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == "80" ? name : name + ":" + port;
}

ConnectionPool::ConnectionPool(asio::io_context& io, const HttpUrl& url) : io_(io) {
  beast::error_code error;
  asio::ip::tcp::resolver resolver(io);
  addresses_ = resolver.resolve(url.host, url.port, error);
  QUIRE_CHECK_KIND(kNotFound, !error, "cannot find {}: {}", url.host, error.message());
}

ConnectionPool::Connection ConnectionPool::take() {
  if (idle_.empty()) return nullptr;
  Connection connection = std::move(idle_.back());  // the one that the server closes last
  idle_.pop_back();
  return connection;
}

void HttpCall::start(double timeout_s) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                             std::chrono::duration<double>(timeout_s));
  timer_.expires_at(deadline);
  timer_.async_wait([weak = weak_from_this()](ErrorCode error) {
    const auto self = weak.lock();
    if (error || !self) return;
    self->is_late_ = true;
    if (self->connection_) self->connection_->cancel();
  });
  connection_ = pool_.take();
  is_reused_ = connection_ != nullptr;
  if (is_reused_)
    write();
  else
    connect();
}

void HttpCall::connect() {
  connection_ = std::make_unique<beast::tcp_stream>(pool_.io());
  // Connecting to a list of addresses reports a lack of descriptors as "canceled"; opening first says what it
  // is.
  ErrorCode cannot_open;
  connection_->socket().open(pool_.addresses().begin()->endpoint().protocol(), cannot_open);
  if (cannot_open) {
    asio::post(pool_.io(),
               [self = shared_from_this(), cannot_open] { self->fail(CallEnd::kNoConnection, cannot_open); });
    return;
  }
  connection_->async_connect(pool_.addresses(), [self = shared_from_this()](ErrorCode error, const auto&) {
    if (error) return self->fail(CallEnd::kNoConnection, error);
    self->connection_->socket().set_option(asio::ip::tcp::no_delay(true), error);
    self->write();
  });
}

void HttpCall::write() {
  http::async_write(*connection_, request_, [self = shared_from_this()](ErrorCode, std::size_t) {
    // A server that refuses a body may answer and close before it has read everything: read what it says.
    self->read_head();
  });
}

void HttpCall::read_head() {
  if (is_late_) return fail(CallEnd::kTimeout, {});
  parser_.emplace();
  parser_->body_limit(kMaxAnswerBytes);
  http::async_read_header(
      *connection_, buffer_, *parser_, [self = shared_from_this()](ErrorCode error, std::size_t) {
        if (!error) return self->take_head();
        // A connection that waited may have been closed by the server just now: that is nobody's fault.
        if (self->is_reused_ && !self->is_late_ && !self->parser_->got_some()) {
          self->is_reused_ = false;
          self->buffer_.clear();
          return self->connect();
        }
        self->fail(CallEnd::kBroken, error);
      });
}

void HttpCall::take_head() {
  const auto& fields = parser_->get();
  HttpAnswerHead head;
  head.status = fields.result_int();
  const beast::string_view type = fields[http::field::content_type];
  head.is_event_stream = type.starts_with("text/event-stream");
  head.retry_after_s = seconds_of(fields[http::field::retry_after]);
  handlers_.on_head(head);
  read_body();
}

void HttpCall::read_body() {
  if (parser_->is_done()) return finish();
  if (is_late_) return fail(CallEnd::kTimeout, {});
  http::async_read_some(*connection_, buffer_, *parser_,
                        [self = shared_from_this()](ErrorCode error, std::size_t) {
                          std::string& body = self->parser_->get().body();
                          if (!body.empty()) {
                            try {
                              self->handlers_.on_body(body);
                            } catch (const std::exception& e) {
                              self->connection_.reset();
                              return self->handlers_.on_end(CallEnd::kBroken, e.what());
                            }
                            body.clear();
                          }
                          if (error) return self->fail(CallEnd::kBroken, error);
                          self->read_body();
                        });
}

void HttpCall::fail(CallEnd end, ErrorCode error) {
  connection_.reset();
  timer_.cancel();
  if (is_late_) end = CallEnd::kTimeout;
  const bool is_early = error == http::error::end_of_stream || error == http::error::partial_message;
  handlers_.on_end(end, end == CallEnd::kTimeout ? "" : is_early ? "closed by the server" : error.message());
}

void HttpCall::finish() {
  if (parser_->keep_alive() && buffer_.size() == 0) pool_.give(std::move(connection_));
  connection_.reset();
  timer_.cancel();
  handlers_.on_end(CallEnd::kComplete, "");
}

}  // namespace quire
