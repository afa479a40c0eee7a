#include "apps/background_log.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "base/check.h"

namespace quire {
namespace {

constexpr std::size_t kMaxKeptBytes = 256 << 10;
constexpr std::chrono::milliseconds kFailurePause{200};  // after a write that failed
constexpr std::chrono::seconds kLastWords{1};

// All of it, or false. Waits for as long as nobody reads.
bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t num_bytes = ::write(fd, text.data(), text.size());
    if (num_bytes > 0) {
      text.remove_prefix(static_cast<std::size_t>(num_bytes));
    } else if (num_bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      pollfd ready = {fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (num_bytes == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

struct BackgroundLog::State {
  explicit State(int file) : fd(file) {
    kept.reserve(kMaxKeptBytes);
    written.reserve(kMaxKeptBytes);
  }

  void run();

  const int fd;
  std::mutex mutex;
  std::condition_variable changed;
  std::string kept;                                       // never grows beyond what was reserved
  std::string written;                                    // the thread's own
  std::int64_t num_kept = 0, num_lost = 0, num_told = 0;  // texts
  bool is_writing = false, is_closing = false, has_ended = false;
};

void BackgroundLog::State::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return !kept.empty() || is_closing; });
    if (kept.empty()) break;
    written.swap(kept);
    kept.clear();
    is_writing = true;
    const std::int64_t num_taken = std::exchange(num_kept, 0), num_untold = num_lost - num_told;
    lock.unlock();
    char notice[96];
    const auto end =
        fmt::format_to_n(notice, sizeof notice, "({} messages of this log were lost)\n", num_untold).out;
    const bool is_told = num_untold == 0 || write_all(fd, {notice, static_cast<std::size_t>(end - notice)});
    const bool is_written = is_told && write_all(fd, written);
    lock.lock();
    is_writing = false;
    changed.notify_all();  // of flush()
    if (is_told) num_told += num_untold;
    if (!is_written) {
      num_lost += num_taken;
      if (is_closing) break;
      changed.wait_for(lock, kFailurePause, [this] { return is_closing; });
    }
  }
  has_ended = true;
  changed.notify_all();
}

BackgroundLog::BackgroundLog(int fd) : state_(std::make_shared<State>(fd)) {
  try {
    std::thread([state = state_] { state->run(); }).detach();
  } catch (const std::system_error& failed) {
    throw_error(ErrorKind::kExhausted, "cannot start a thread for the log: {}", failed.what());
  }
}

BackgroundLog::~BackgroundLog() {
  std::unique_lock lock(state_->mutex);
  state_->is_closing = true;
  state_->changed.notify_all();
  state_->changed.wait_for(lock, kLastWords, [this] { return state_->has_ended; });
}

void BackgroundLog::write(std::string_view text) noexcept {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->kept.size() + text.size() > kMaxKeptBytes) {
      ++state_->num_lost;
      return;
    }
    state_->kept.append(text);
    ++state_->num_kept;
  }
  state_->changed.notify_all();
}

void BackgroundLog::flush() noexcept {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(lock, kLastWords, [this] { return state_->kept.empty() && !state_->is_writing; });
}

std::int64_t BackgroundLog::num_lost() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->num_lost;
}

}  // namespace quire
