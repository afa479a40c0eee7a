// A server of scripted answers for tests of clients: one thread a connection.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "load/http_call.h"

namespace quire {

struct FakeAnswer {
  int status = 200;
  std::string headers = "Content-Type: text/event-stream\r\n";
  std::string body;
  std::size_t piece = 0;      // bytes in each chunk and each packet; 0: all at once
  bool has_length = false;    // Content-Length instead of chunks
  bool is_cut = false;        // closes before the end of the body
  bool closes_after = false;  // closes behind the answer, without having said so
};

class FakeServer {
 public:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  using Script = std::function<FakeAnswer(const Request&)>;

  explicit FakeServer(Script script)
      : script_(std::move(script)), acceptor_(io_, {boost::asio::ip::address_v4::loopback(), 0}) {
    acceptor_.listen(4096);
    accepting_ = std::thread([this] { accept_all(); });
  }

  ~FakeServer() {
    {
      std::lock_guard lock(mutex_);
      is_ending_ = true;
      for (const auto& [fd, number] : open_) ::shutdown(fd, SHUT_RDWR);
    }
    boost::system::error_code error;
    boost::asio::ip::tcp::socket knock(io_);
    knock.connect(acceptor_.local_endpoint(), error);
    accepting_.join();
    for (std::thread& thread : threads_) thread.join();
  }

  HttpUrl url() const {
    HttpUrl url;
    url.host = "127.0.0.1";
    url.port = std::to_string(acceptor_.local_endpoint().port());
    return url;
  }

  int num_connections() const {
    std::lock_guard lock(mutex_);
    return num_connections_;
  }

 private:
  void accept_all() {
    for (;;) {
      boost::asio::ip::tcp::socket socket(io_);
      boost::system::error_code error;
      acceptor_.accept(socket, error);
      std::lock_guard lock(mutex_);
      if (is_ending_) return;
      if (error) continue;
      open_[socket.native_handle()] = ++num_connections_;
      threads_.emplace_back([this, s = std::move(socket)]() mutable { serve(s); });
    }
  }

  void serve(boost::asio::ip::tcp::socket& socket) {
    boost::beast::flat_buffer buffer;
    boost::system::error_code error;
    const int fd = socket.native_handle();
    while (!error) {
      Request request;
      boost::beast::http::read(socket, buffer, request, error);
      if (error) break;
      const FakeAnswer answer = script_(request);
      send(socket, answer, error);
      if (answer.is_cut || answer.closes_after) break;
    }
    std::lock_guard lock(mutex_);
    open_.erase(fd);
    socket.close(error);
  }

  static void send(boost::asio::ip::tcp::socket& socket, const FakeAnswer& answer,
                   boost::system::error_code& error) {
    const auto put = [&](const std::string& bytes) {
      if (!error) boost::asio::write(socket, boost::asio::buffer(bytes), error);
    };
    socket.set_option(boost::asio::ip::tcp::no_delay(true));
    if (answer.has_length)
      return put("HTTP/1.1 " + std::to_string(answer.status) + " x\r\nContent-Length: " +
                 std::to_string(answer.body.size()) + "\r\n" + answer.headers + "\r\n" + answer.body);
    put("HTTP/1.1 " + std::to_string(answer.status) + " x\r\nTransfer-Encoding: chunked\r\n" +
        answer.headers + "\r\n");
    const std::size_t piece = answer.piece > 0 ? answer.piece : std::max<std::size_t>(1, answer.body.size());
    for (std::size_t at = 0; at < answer.body.size(); at += piece) {
      const std::string part = answer.body.substr(at, piece);
      char size[24];
      std::snprintf(size, sizeof(size), "%zx\r\n", part.size());
      put(size + part + "\r\n");
    }
    if (!answer.is_cut) put("0\r\n\r\n");
  }

  const Script script_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  mutable std::mutex mutex_;
  bool is_ending_ = false;
  int num_connections_ = 0;
  std::map<int, int> open_;
  std::vector<std::thread> threads_;
  std::thread accepting_;
};

// Nobody passes before `count` have come, so that a test sees who waits for whom without looking at a clock.
class Gate {
 public:
  explicit Gate(int count) : count_(count) {}
  void pass() {
    std::unique_lock lock(mutex_);
    ++num_here_, most_here_ = std::max(most_here_, num_here_);
    if (++num_come_ >= count_) is_open_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
    --num_here_;
  }
  int most_here() const {
    std::lock_guard lock(mutex_);
    return most_here_;
  }

 private:
  const int count_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int num_come_ = 0, num_here_ = 0, most_here_ = 0;
  bool is_open_ = false;
};

}  // namespace quire
