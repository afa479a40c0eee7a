#include "apps/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/check.h"

namespace quire {
namespace {

// A signal handler can reach nothing but a global: the end of a pipe, which remembers and wakes, whichever
// thread runs it.
volatile std::sig_atomic_t write_fd = -1;

void on_interrupt(int) {
  const int saved_errno = errno;
  const char mark = 1;
  [[maybe_unused]] const auto written = ::write(write_fd, &mark, 1);  // a full pipe says the same
  errno = saved_errno;
}

}  // namespace

InterruptScope::InterruptScope() {
  int fds[2];
  QUIRE_CHECK_KIND(kExhausted, ::pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0, "cannot make a pipe: {}",
                   std::strerror(errno));
  read_fd_ = fds[0];
  write_fd = fds[1];
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

InterruptScope::~InterruptScope() {
  std::signal(SIGINT, SIG_DFL);
  ::close(write_fd);
  ::close(read_fd_);
}

bool InterruptScope::take() {
  char marks[16];
  bool came = false;
  while (::read(read_fd_, marks, sizeof(marks)) > 0) came = true;
  return came;
}

bool InterruptScope::wait_for_input() {
  pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {read_fd_, POLLIN, 0}};
  while (::poll(fds, 2, -1) < 0 && errno == EINTR) continue;
  return (fds[1].revents & POLLIN) == 0;
}

}  // namespace quire
