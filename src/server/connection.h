// One connection: reads requests, hands them to the service, writes replies. Everything happens on the one
// thread of its socket's context; other threads only call `wake`, `sweep` and `evict`.
//
// One coroutine reads all the time, also while an answer is being made, so that a client that goes away is
// noticed at once; the other one judges heads, reads bodies, asks and writes. They meet in `event_`.
#pragma once

// Before Asio 1.74, which uses std::exchange without its header.
#include <utility>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http_server.h"
#include "server/wake_event.h"

namespace quire {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `num_busy` counts exchanges that have begun and not ended, over all connections. `is_spare`: it came when
  // no place was left, and only health checks are answered.
  Connection(boost::asio::ip::tcp::socket socket, const HttpOptions& options, Service& service,
             std::atomic<int>& num_busy, bool is_spare);

  void start();                                // once. What it throws leaves nothing behind that runs
  void wake() noexcept;                        // any thread: the reply should be polled
  void sweep(Clock::time_point now) noexcept;  // any thread: something may be overdue, or a wake was missed
  void abandon();                              // when no thread runs connections any more

  // Any thread: since when nothing is owed to the client (it is silent, or its request's head is not there,
  // or it was refused), so that the connection may be closed for another one; nothing while it works.
  std::optional<Clock::time_point> idle_since() const;
  void evict() noexcept;  // any thread: closes it, if it is idle still

 private:
  struct Incoming;  // a request on its way in
  enum class Phase : std::uint8_t { kIdle, kHeader, kBody, kReply, kWrite, kLinger };

  static boost::asio::awaitable<void> read_all(std::shared_ptr<Connection> self);
  boost::asio::awaitable<void> read_until_end();
  static boost::asio::awaitable<void> serve(std::shared_ptr<Connection> self);
  boost::asio::awaitable<void> serve_requests();
  boost::asio::awaitable<bool> serve_request();
  boost::asio::awaitable<bool> receive_head(Incoming& incoming);
  boost::asio::awaitable<bool> receive_body(Incoming& incoming);
  boost::asio::awaitable<bool> answer(Incoming& incoming);
  boost::asio::awaitable<bool> send(Incoming& incoming);
  boost::asio::awaitable<bool> write(std::string_view bytes);
  boost::asio::awaitable<void> linger();
  bool parse_head(Incoming& incoming);
  bool parse_body(Incoming& incoming);
  std::string_view unread() const;
  void consume(std::size_t num_bytes);
  std::size_t max_unread_bytes() const;
  void set_phase(Phase phase);
  bool is_idle() const;
  void enter(Phase phase, double timeout_s);
  void set_deadline(Clock::time_point deadline);
  void close();

  boost::asio::ip::tcp::socket socket_;
  const HttpOptions& options_;
  Service& service_;
  std::atomic<int>& num_busy_;

  WakeEvent event_, room_;                     // for who serves, and for who reads
  std::atomic<bool> has_missed_wake_ = false;  // there was no memory for it; the next sweep tries again
  bool is_closed_ = false;                     // by the peer, or by us
  const bool is_spare_;
  std::string peer_;  // see HttpRequest
  Phase phase_ = Phase::kIdle;
  std::atomic<Clock::rep> idle_since_;  // kBusy while it works
  std::atomic<Clock::rep> deadline_;
  bool is_overdue_ = false;

  boost::beast::flat_buffer in_;  // read and not parsed yet
  std::size_t num_discarded_ = 0;
};

}  // namespace quire
