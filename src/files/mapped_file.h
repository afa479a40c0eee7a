// A file mapped read-only into memory: weights are used in place, never copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string_view>

namespace quire {

// Owns the mapping; moving it does not move the bytes. A file that another process shortens while it is
// mapped raises SIGBUS when the lost bytes are read (the program then says which file it was): as for every
// mapped file, replace models, do not edit them.
class MappedFile {
 public:
  MappedFile() = default;
  // Throws Error{kNotFound} when the path cannot be opened, Error{kInvalidArgument} when it is no regular
  // file (a pipe or a device would wait, or never end), Error{kCorruptFile} when it is longer than
  // `max_bytes`.
  static MappedFile open(const std::filesystem::path& path,
                         std::uint64_t max_bytes = std::numeric_limits<std::uint64_t>::max());

  // A model's text file, JSON or a template. Throws as `open` does, and Error{kCorruptFile} when its bytes
  // are of a foreign kind: a Git LFS pointer, a web page.
  static MappedFile open_text(const std::filesystem::path& path, std::uint64_t max_bytes);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }  // page-aligned; empty for an empty file
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace quire
