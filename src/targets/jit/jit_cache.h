// Compiled kernels on disk, so that a second start compiles nothing. One file a kernel, named by a SHA-256
// digest over all that its code depends on. A file is trusted only if its sizes, its key and the checksum
// over its content are right, and if it and its folder belong to the user or to root and nobody else may
// write there; otherwise the kernel is compiled anew. A file appears complete or not at all, also if
// several processes write at the same time.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quire {

struct CompiledKernel {
  std::string name;    // for people
  std::string log;     // of the compiler: registers, spills
  std::string binary;  // machine code in the vendor's format
};

using JitKey = std::array<std::uint8_t, 32>;

// The digest of the parts and their lengths, in this order. Throws Error{kUnsupported} if libcrypto has no
// SHA-256.
JitKey make_jit_key(std::span<const std::string_view> parts);

struct JitCacheEntry {
  std::filesystem::path path;
  std::string name;
  std::uint64_t file_bytes = 0;
  bool is_valid = false;
};

class JitCache {
 public:
  // Empty: nothing is kept on disk. The folder is made when the first kernel is stored, readable by its owner
  // only.
  explicit JitCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const { return folder_; }

  // Empty if there is no such kernel, its file is damaged, or others may have written it.
  std::optional<CompiledKernel> try_load(const JitKey& key) const;

  // Empty, or the reason why the kernel could not be kept: a full disk, or a folder that others may write to,
  // costs time on the next start, not a request.
  std::string store(const JitKey& key, const CompiledKernel& kernel) const;

  // Sorted by name. Files with other names than those of a cache are ignored.
  std::vector<JitCacheEntry> list() const;

  // Removes all kernels, and files that interrupted writers left. Returns the number of kernels removed.
  int clear() const;

 private:
  std::filesystem::path path_of(const JitKey& key) const;

  std::filesystem::path folder_;
};

}  // namespace quire
