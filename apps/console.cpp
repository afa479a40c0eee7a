#include "apps/console.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "apps/background_log.h"
#include "base/check.h"
#include "text/utf8.h"

namespace quire {
namespace {

std::atomic<BackgroundLog*> background_log = nullptr;

constexpr double kFirstDrawS = 0.33, kRedrawS = 0.1;
constexpr int kBarWidth = 30;

const char* escape_of(Color color) {
  switch (color) {
    case Color::kPlain:
      return "";
    case Color::kDim:
      return "\033[2m";
    case Color::kRed:
      return "\033[31m";
    case Color::kGreen:
      return "\033[32m";
    case Color::kBold:
      return "\033[1m";
  }
  return "";
}

}  // namespace

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

std::string paint(std::string_view text, Color color, int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  if (color == Color::kPlain || !is_terminal(fd) || (no_color != nullptr && *no_color != '\0'))
    return std::string(text);
  return fmt::format("{}{}\033[0m", escape_of(color), text);
}

std::string plain_text(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    const std::string_view bytes = text.substr(at, c.num_bytes);
    at += c.num_bytes;
    const bool is_control = c.code_point < 0x20 || (c.code_point >= 0x7f && c.code_point < 0xa0);
    if (c.is_valid && (!is_control || bytes == "\n" || bytes == "\t")) {
      plain += bytes;
    } else {
      for (const char byte : bytes) plain += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    }
  }
  return plain;
}

void print_now(std::string_view text) {
  const bool is_written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  QUIRE_CHECK_KIND(kExhausted, is_written, "cannot write the result: {}", std::strerror(errno));
}

void write_stderr(std::string_view text) noexcept {
  if (BackgroundLog* log = background_log) {
    log->write(text);
  } else {  // unbuffered, and an error is not looked at
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
}

void flush_stderr() noexcept {
  if (BackgroundLog* log = background_log) log->flush();
}

void log_line(std::string_view text) noexcept {
  std::string line;
  try {
    line = paint(plain_text(text), Color::kDim, 2) + "\n";
  } catch (const std::exception&) {  // there is no memory for it
    write_stderr(text);
    line = "\n";
  }
  write_stderr(line);
}

void log_through(BackgroundLog* log) noexcept { background_log = log; }

Progress::Progress(std::string label)
    : label_(std::move(label)), has_bar_(is_terminal(2)), start_s_(now_s()) {}

void Progress::update(double fraction, std::string_view note) {
  const double time_s = now_s();
  if (time_s - start_s_ < kFirstDrawS) return;
  fraction = std::clamp(fraction, 0.0, 1.0);
  if (has_bar_) {
    if (time_s - drawn_s_ >= kRedrawS) draw_bar(fraction, note);
    return;
  }
  const int tenths = static_cast<int>(fraction * 10 + 1e-9);
  if (tenths <= printed_tenths_) return;
  printed_tenths_ = tenths;
  log("{}: {} %{}{}", label_, tenths * 10, note.empty() ? "" : " ", note);
}

void Progress::draw_bar(double fraction, std::string_view note) {
  const int filled = static_cast<int>(fraction * kBarWidth + 0.5);
  write_stderr(fmt::format("\r\033[K{} [{:-<{}}] {:3.0f} % {}", label_,
                           std::string(static_cast<std::size_t>(filled), '#'), kBarWidth, fraction * 100,
                           note.substr(0, 40)));
  drawn_s_ = now_s();
  is_drawn_ = true;
}

void Progress::finish() {
  if (is_drawn_) write_stderr("\r\033[K");
  is_drawn_ = false;
}

std::string human_bytes(double bytes) {
  const char* units[] = {"B", "KB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 999.5 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 || bytes >= 99.95 ? fmt::format("{:.0f} {}", bytes, units[unit])
                                     : fmt::format("{:.1f} {}", bytes, units[unit]);
}

}  // namespace quire
