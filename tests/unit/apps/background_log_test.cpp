// Where the lines go costs lines, never a call.
#include "apps/background_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

namespace quire {
namespace {

constexpr int kManyLines = 20'000;  // far more than are kept
const std::string kLine(99, 'x');

const auto pipe_signal = std::signal(SIGPIPE, SIG_IGN);  // as the server does

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0); }
  ~Pipe() {
    close_reader();
    ::close(fds[1]);
  }
  void close_reader() {
    if (fds[0] >= 0) ::close(fds[0]);
    fds[0] = -1;
  }
  std::string read_some() const {
    char part[65536];
    const ssize_t num_bytes = ::read(fds[0], part, sizeof part);
    return {part, static_cast<std::size_t>(std::max<ssize_t>(0, num_bytes))};
  }
  int fds[2];
};

void wait_for_loss(const BackgroundLog& log, std::int64_t num) {
  for (int i = 0; i < 3000 && log.num_lost() < num; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GE(log.num_lost(), num);
}

TEST(BackgroundLog, WritesLinesInTheirOrder) {
  Pipe pipe;
  {
    BackgroundLog log(pipe.fds[1]);
    log.write("one\n");
    log.write("two\n");
  }
  EXPECT_EQ(pipe.read_some(), "one\ntwo\n");
}

TEST(BackgroundLog, LastWordsAreOutAfterAFlush) {
  Pipe pipe;
  BackgroundLog log(pipe.fds[1]);
  for (int i = 0; i < 100; ++i) {
    log.write("words\n");
    log.flush();
    EXPECT_EQ(pipe.read_some(), "words\n");
  }
}

TEST(BackgroundLog, APipeThatNobodyReadsCostsLinesOnly) {
  Pipe pipe;
  BackgroundLog log(pipe.fds[1]);
  for (int i = 0; i < kManyLines; ++i) log.write(kLine + "\n");
  const std::int64_t num_lost = log.num_lost();
  EXPECT_GT(num_lost, 0);
  EXPECT_LT(num_lost, kManyLines);
  std::string text;  // whoever reads at last learns of the loss
  while (text.find(" messages of this log were lost)\n") == std::string::npos) {
    text += pipe.read_some();
    log.write("more\n");
    ASSERT_LT(text.size(), std::size_t{100} << 20);
  }
}

TEST(BackgroundLog, EndsAlthoughAWriteNeverReturns) {
  Pipe pipe;
  {
    BackgroundLog log(pipe.fds[1]);
    for (int i = 0; i < kManyLines; ++i) log.write(kLine + "\n");
  }
  pipe.close_reader();  // ends the thread's write, which this test leaves nothing of
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

TEST(BackgroundLog, AFullDiskIsCounted) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  {
    BackgroundLog log(full);
    log.write("one\n");
    wait_for_loss(log, 1);
    log.write("two\n");
    wait_for_loss(log, 2);
  }
  ::close(full);
}

TEST(BackgroundLog, AReaderThatHasGoneIsCounted) {
  Pipe pipe;
  pipe.close_reader();
  BackgroundLog log(pipe.fds[1]);
  log.write("one\n");
  wait_for_loss(log, 1);
}

TEST(BackgroundLog, TakesLinesOfManyThreads) {
  Pipe pipe;
  {
    BackgroundLog log(pipe.fds[1]);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&log] {
        for (int line = 0; line < 100; ++line) log.write("abcdefg\n");
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(log.num_lost(), 0);
  }
  std::string text;
  while (text.size() < 4 * 100 * 8) text += pipe.read_some();
  for (std::size_t at = 0; at < text.size(); at += 8) EXPECT_EQ(text.substr(at, 8), "abcdefg\n");
}

}  // namespace
}  // namespace quire
