#include "files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "files/file_kind.h"

namespace quire {
namespace {

std::string error_text(int code) { return std::generic_category().message(code); }

class Descriptor {
 public:
  // Without O_NONBLOCK, opening a named pipe would wait for a writer before its kind could be seen.
  explicit Descriptor(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    const int code = errno;
    QUIRE_CHECK_KIND(kNotFound, fd_ >= 0, "{}: cannot open: {}", path.string(), error_text(code));
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

MappedFile MappedFile::open(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const Descriptor file(path);
  struct stat status {};
  const bool known = ::fstat(file.get(), &status) == 0;
  QUIRE_CHECK(known && S_ISREG(status.st_mode), "{}: not a regular file", path.string());
  MappedFile mapped;
  const auto num_bytes = static_cast<std::size_t>(status.st_size);
  QUIRE_CHECK_KIND(kCorruptFile, num_bytes <= max_bytes, "{}: {} bytes, at most {} are read", path.string(),
                   num_bytes, max_bytes);
  if (num_bytes == 0) return mapped;  // mmap refuses empty mappings
  void* data = ::mmap(nullptr, num_bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  const int code = errno;
  QUIRE_CHECK_KIND(kExhausted, data != MAP_FAILED, "{}: cannot map {} bytes: {}", path.string(), num_bytes,
                   error_text(code));
  mapped.bytes_ = {static_cast<const std::byte*>(data), num_bytes};
  return mapped;
}

MappedFile MappedFile::open_text(const std::filesystem::path& path, std::uint64_t max_bytes) {
  MappedFile mapped = open(path, max_bytes);
  refuse_foreign(mapped.text(), path.string());
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace quire
