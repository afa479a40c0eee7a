// Sockets for a Service: listens, reads requests within limits, writes replies, and goes down in good order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "server/service.h"

namespace quire {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 8000;  // 0: any that is free
  int num_threads = 1;
  int max_connections = 4096;  // fewer where the process may not open so many files
  std::size_t max_header_bytes = 16 << 10;
  double header_timeout_s = 10;  // from the first byte of a request to the end of its head
  double body_timeout_s = 60;    // from there to the end of the body
  double idle_timeout_s = 75;    // between two requests
  double write_timeout_s = 30;   // without progress of a write
  double shutdown_timeout_s = 30;
};

enum class ShutdownKind : std::uint8_t {
  kDrained,   // every running call came to its end
  kTimedOut,  // calls were ended with "abort"
  kForced,    // a second begin_shutdown(): nobody was waited for
  kFailed,    // the engine, or a part that everybody needs, is gone: the process should be started anew
};

class HttpServer {
 public:
  // `service` outlives the server's threads.
  HttpServer(const HttpOptions& options, Service& service, LogLine log);
  ~HttpServer();  // stops at once

  // Binds, listens, begins to answer; returns the port. Throws Error{kInvalidArgument} for a host that is
  // none, Error{kExhausted} when the port is taken or the system gives no more threads.
  int start();

  // Soon refuses new calls and lets running ones end, for at most shutdown_timeout_s; the second time ends
  // everything. Any thread, and signal handlers.
  void begin_shutdown();
  bool is_shutting_down() const;

  // Waits for the end of a shutdown. No thread of the server touches the service afterwards.
  ShutdownKind wait();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quire
