// What SIGINT, SIGTERM and SIGHUP mean to a server: the first begins a drain, a second ends the process at
// once, whatever its threads are busy with or wait for.
#pragma once

#include "server/http_server.h"

namespace quire {

class ShutdownSignals {
 public:
  // From now on, until the process ends. SIGHUP stays ignored where it was (nohup). One object a process.
  explicit ShutdownSignals(HttpServer& server);
  ~ShutdownSignals();  // there is nothing left to drain: a signal ends the process
  ShutdownSignals(const ShutdownSignals&) = delete;
  ShutdownSignals& operator=(const ShutdownSignals&) = delete;

  // The exit code of an end by signal; 1 until this is called. Once all answers are given, signals change
  // nothing.
  void set_exit_code(int code);
};

}  // namespace quire
