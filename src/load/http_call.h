// One HTTP/1.1 request and its answer as a stream of bytes, on a connection that may have served others
// before.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quire {

// http://HOST[:PORT][/PATH]
struct HttpUrl {
  std::string host, port = "80", path;  // the path begins with a slash and does not end with one, or is empty

  // Throws Error{kInvalidArgument} naming `flag`.
  static HttpUrl parse(const std::string& flag, const std::string& text);
  std::string authority() const;  // for the Host header
};

// Connections to one server: open ones that wait for their next request, and the addresses to make new ones.
class ConnectionPool {
 public:
  // Throws Error{kNotFound} if the host has no address.
  ConnectionPool(boost::asio::io_context& io, const HttpUrl& url);

  using Connection = std::unique_ptr<boost::beast::tcp_stream>;
  Connection take();  // an open one, or null
  void give(Connection connection) { idle_.push_back(std::move(connection)); }

  boost::asio::io_context& io() { return io_; }
  const boost::asio::ip::tcp::resolver::results_type& addresses() const { return addresses_; }

 private:
  boost::asio::io_context& io_;
  boost::asio::ip::tcp::resolver::results_type addresses_;
  std::vector<Connection> idle_;
};

struct HttpAnswerHead {
  int status = 0;
  bool is_event_stream = false;
  std::optional<double> retry_after_s;
};

enum class CallEnd { kComplete, kNoConnection, kBroken, kTimeout };

class HttpCall : public std::enable_shared_from_this<HttpCall> {
 public:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  struct Handlers {
    std::function<void(const HttpAnswerHead&)> on_head;
    std::function<void(std::string_view)> on_body;  // as it comes; what it throws ends the call as kBroken
    std::function<void(CallEnd, const std::string& error)> on_end;  // once, last
  };

  HttpCall(ConnectionPool& pool, Request request, Handlers handlers)
      : pool_(pool), request_(std::move(request)), handlers_(std::move(handlers)), timer_(pool.io()) {}

  // Everything together may take `timeout_s`. The call keeps itself alive.
  void start(double timeout_s);

 private:
  using ErrorCode = boost::beast::error_code;
  void connect();
  void write();
  void read_head();
  void take_head();
  void read_body();
  void fail(CallEnd end, ErrorCode error);
  void finish();

  ConnectionPool& pool_;
  Request request_;
  Handlers handlers_;
  ConnectionPool::Connection connection_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::response_parser<boost::beast::http::string_body>> parser_;
  boost::asio::steady_timer timer_;  // for the whole call; one for each read would cost as much as the read
  bool is_late_ = false;
  bool is_reused_ = false;
};

}  // namespace quire
