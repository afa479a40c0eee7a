// A log that its writers never wait for: lines are kept in memory of a fixed size, and a thread of its own
// writes them. Where the lines go (a full disk, a pipe that nobody reads, a pipe whose reader has gone) costs
// lines, never a call.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace quire {

class BackgroundLog {
 public:
  // Writes to the file descriptor, which stays the caller's. Throws Error{kExhausted} when no thread can be
  // started.
  explicit BackgroundLog(int fd);
  // Waits as flush() does, and then leaves what is kept.
  ~BackgroundLog();
  BackgroundLog(const BackgroundLog&) = delete;
  BackgroundLog& operator=(const BackgroundLog&) = delete;

  // Keeps the text (lines with their ends) or, when there is no room, counts it as lost. Any thread; needs no
  // memory.
  void write(std::string_view text) noexcept;

  // Waits a second at most for what is kept to be written. Any thread; needs no memory.
  void flush() noexcept;

  // Texts that were lost so far, to a full memory or to a write that failed. Once writing works again, a line
  // says so.
  std::int64_t num_lost() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;  // the thread's as well: it may be stuck in a write when the object goes
};

}  // namespace quire
