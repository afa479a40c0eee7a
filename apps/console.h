// How the program talks to people: results go to stdout, everything else to stderr, colours and bars only to
// a terminal.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace quire {

class BackgroundLog;

enum class Color { kPlain, kDim, kRed, kGreen, kBold };

// The text in that colour if `fd` (1 stdout, 2 stderr) is a terminal and NO_COLOR is not set, else the text.
std::string paint(std::string_view text, Color color, int fd);

bool is_terminal(int fd);

// The text with control characters, but for tab and line feed, and bytes that are no UTF-8 as \xNN: names and
// words of files and of templates must not command the terminal that an error is read on.
std::string plain_text(std::string_view text);

// Writes to stdout at once, so that a stream of tokens is seen as it comes. Throws Error{kExhausted} if
// nobody can take it.
void print_now(std::string_view text);

// What is said on stderr, and cannot be written, is lost: no part of the program fails because nobody
// listens.
void write_stderr(std::string_view text) noexcept;
void flush_stderr() noexcept;  // for last words: waits a second at most until they are out
// As plain_text; where memory is short, without colour.
void log_line(std::string_view text) noexcept;

template <class... Args>
void log(fmt::format_string<Args...> format, Args&&... args) noexcept {
  try {
    log_line(fmt::format(format, std::forward<Args>(args)...));
  } catch (const std::exception&) {  // there is no memory for it
  }
}

// Everything for stderr goes through `log`, which must outlive its use; null: straight to stderr again.
void log_through(BackgroundLog* log) noexcept;

// Progress of one long task on stderr: a bar on a terminal, otherwise one line for every 10 %. Nothing for a
// task that is over within a third of a second.
class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(double fraction, std::string_view note = {});  // fraction of the task that is done, 0 to 1
  void finish();                                             // takes the bar away

 private:
  void draw_bar(double fraction, std::string_view note);

  const std::string label_;
  const bool has_bar_;
  const double start_s_;
  double drawn_s_ = 0;
  int printed_tenths_ = 0;
  bool is_drawn_ = false;
};

double now_s();  // of a steady clock

// "1.5 GB", "640 KB": decimal units.
std::string human_bytes(double bytes);

}  // namespace quire
