#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartialPrefix = "partial-";
constexpr std::size_t kPartialChars = 6;  // that mkstemp chooses

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

std::string write_atomically(const fs::path& path, std::span<const std::string_view> parts) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::error_code error;
  if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) return fmt::format("cannot make the folder {}: {}", folder.string(), error.message());

  std::string partial = (folder / (std::string(kPartialPrefix) + std::string(kPartialChars, 'X'))).string();
  const int fd = ::mkstemp(partial.data());
  if (fd < 0) return fmt::format("cannot write to {}: {}", folder.string(), std::strerror(errno));
  bool is_written = true;
  for (const std::string_view part : parts) is_written = is_written && write_all(fd, part);
  is_written = is_written && ::fsync(fd) == 0;
  int reason = errno;
  if (::close(fd) != 0 && is_written) is_written = false, reason = errno;
  if (is_written && ::rename(partial.c_str(), path.c_str()) != 0) is_written = false, reason = errno;
  if (!is_written) {
    ::unlink(partial.c_str());
    return fmt::format("cannot write {}: {}", path.string(), std::strerror(reason));
  }
  sync_folder(folder);
  return {};
}

bool is_partial_name(const std::string& name) {
  return name.starts_with(kPartialPrefix) && name.size() == kPartialPrefix.size() + kPartialChars;
}

}  // namespace quire
