// A file mapped read-only into memory: weights are used in place, never copied.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace quire {

// Owns the mapping; moving it does not move the bytes. A file that another process shortens while it is
// mapped ends this process with SIGBUS when the lost bytes are read: as for every mapped file, replace
// models, do not edit them.
class MappedFile {
 public:
  MappedFile() = default;
  // Throws Error{kNotFound} when the path cannot be opened, Error{kInvalidArgument} when it is no regular
  // file.
  static MappedFile open(const std::filesystem::path& path);

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
