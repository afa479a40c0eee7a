// Ctrl-C as a question instead of an end, for as long as an object lives.
#pragma once

namespace quire {

class InterruptScope {
 public:
  InterruptScope();  // throws Error{kExhausted} when the system has no file descriptor left
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  // Whether Ctrl-C came since the last call.
  bool take();

  // Waits until standard input has something to read (true) or Ctrl-C comes (false).
  bool wait_for_input();

 private:
  int read_fd_;
};

}  // namespace quire
