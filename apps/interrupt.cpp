#include "apps/interrupt.h"

#include <csignal>

namespace quire {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t has_interrupt = 0;

void on_interrupt(int) { has_interrupt = 1; }

}  // namespace

InterruptScope::InterruptScope() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a read that waits for a line returns
  sigaction(SIGINT, &action, nullptr);
}

InterruptScope::~InterruptScope() { std::signal(SIGINT, SIG_DFL); }

bool InterruptScope::take() {
  const bool came = has_interrupt != 0;
  has_interrupt = 0;
  return came;
}

}  // namespace quire
