#include "apps/shutdown_signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "apps/command.h"

namespace quire {
namespace {

// Some supervisors signal a process and its group, or send SIGHUP right after SIGTERM: signals that mean one.
constexpr std::int64_t kSameSignalNs = 200'000'000;

// A signal handler can reach nothing but globals; these are free of locks.
std::atomic<HttpServer*> draining_server = nullptr;
std::atomic<std::int64_t> first_signal_ns = 0;
std::atomic<int> exit_code = kExitFailure;
static_assert(std::atomic<HttpServer*>::is_always_lock_free &&
              std::atomic<std::int64_t>::is_always_lock_free);

void on_signal(int) {
  const int saved_errno = errno;
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t now_ns = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  std::int64_t first_ns = 0;
  HttpServer* server = draining_server;
  if (first_signal_ns.compare_exchange_strong(first_ns, now_ns)) {
    if (server == nullptr) ::_exit(exit_code);
    server->begin_shutdown();
  } else if (now_ns - first_ns >= kSameSignalNs) {
    ::_exit(exit_code);
  }
  errno = saved_errno;
}

void install(int signal, bool respects_ignored) {
  struct sigaction before = {};
  sigaction(signal, nullptr, &before);
  if (respects_ignored && before.sa_handler == SIG_IGN) return;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

ShutdownSignals::ShutdownSignals(HttpServer& server) {
  exit_code = kExitFailure;
  draining_server = &server;
  install(SIGINT, false);
  install(SIGTERM, false);
  install(SIGHUP, true);
}

ShutdownSignals::~ShutdownSignals() { draining_server = nullptr; }

void ShutdownSignals::set_exit_code(int code) { exit_code = code; }

}  // namespace quire
