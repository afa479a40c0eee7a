#include "apps/cut_file.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "apps/command.h"

namespace quire {
namespace {

// All of this runs in a handler of a signal: no memory, no locks, system calls alone.
constexpr std::size_t kLineBytes = 4352;  // of /proc/self/maps: numbers and a path

// Reads a hexadecimal number from the front of the text.
std::uintptr_t take_hex(std::string_view& text) {
  std::uintptr_t value = 0;
  while (!text.empty()) {
    const char c = text.front();
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) break;
    value = value * 16 + static_cast<std::uintptr_t>(digit);
    text.remove_prefix(1);
  }
  return value;
}

// The path in a line "begin-end mode offset device inode path" if the line's range holds the address; else
// empty.
std::string_view path_if_holds(std::string_view line, std::uintptr_t address) {
  const std::uintptr_t begin = take_hex(line);
  if (line.empty()) return {};
  line.remove_prefix(1);
  const std::uintptr_t end = take_hex(line);
  const std::size_t path = line.find('/');
  return address < begin || address >= end || path == line.npos ? std::string_view() : line.substr(path);
}

// Copies the path of the mapped file that holds the address; returns its length, 0 if the system does not
// say.
std::size_t find_mapped_path(std::uintptr_t address, char* path) {
  const int fd = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char line[kLineBytes], part[1024];
  std::size_t line_bytes = 0, path_bytes = 0;
  for (ssize_t num_bytes; path_bytes == 0 && (num_bytes = ::read(fd, part, sizeof part)) > 0;) {
    for (ssize_t i = 0; i < num_bytes && path_bytes == 0; ++i) {
      if (part[i] != '\n') {
        if (line_bytes < sizeof line) line[line_bytes++] = part[i];
        continue;
      }
      const std::string_view found = path_if_holds({line, line_bytes}, address);
      std::copy(found.begin(), found.end(), path);
      path_bytes = found.size();
      line_bytes = 0;
    }
  }
  ::close(fd);
  return path_bytes;
}

// Does not wait for somebody to read.
void say(std::string_view text) {
  pollfd ready = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&ready, 1, 0) != 1) return;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

void on_bus_error(int signal, siginfo_t* info, void*) {
  if (info->si_code != BUS_ADRERR) {  // not a mapped file: as it always was
    std::signal(signal, SIG_DFL);
    std::raise(signal);  // once this returns
    return;
  }
  char path[kLineBytes];
  const std::size_t path_bytes = find_mapped_path(reinterpret_cast<std::uintptr_t>(info->si_addr), path);
  say("quire: ");
  say(path_bytes > 0 ? std::string_view(path, path_bytes) : "a mapped file");
  say(": was cut by another process, or cannot be read any more, while it was in use\n");
  ::_exit(kExitInternal);
}

}  // namespace

void report_cut_files() {
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace quire
