#include "targets/jit/jit_cache.h"

#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "base/atomic_file.h"
#include "base/check.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

// A file: header, then name, log and binary.
struct FileHeader {
  char magic[8];
  std::uint64_t name_bytes, log_bytes, binary_bytes;
  JitKey key;
  JitKey checksum;  // of name, log and binary
};
static_assert(sizeof(FileHeader) == 96, "the header has no padding");
constexpr char kMagic[8] = {'q', 'u', 'i', 'r', 'e', 'j', 'i', '1'};
constexpr std::uint64_t kMaxFileBytes = 256u << 20;
constexpr std::string_view kSuffix = ".kernel";

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

JitKey checksum_of(const CompiledKernel& kernel) {
  const std::string_view parts[] = {kernel.name, kernel.log, kernel.binary};
  return make_jit_key(parts);
}

bool is_cache_file_name(const std::string& name) {
  return name.size() == 2 * JitKey().size() + kSuffix.size() && name.ends_with(kSuffix) &&
         name.find_first_not_of("0123456789abcdef") == 2 * JitKey().size();
}

std::string hex_of(const JitKey& key) {
  std::string hex;
  for (const std::uint8_t byte : key) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::optional<FileHeader> read_header(std::istream& file, std::uint64_t file_bytes) {
  FileHeader header;
  if (file_bytes < sizeof header || file_bytes > kMaxFileBytes) return {};
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) return {};
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return {};
  // Subtracts one by one, so that sums of hostile sizes cannot overflow.
  std::uint64_t rest = file_bytes - sizeof header;
  for (const std::uint64_t part : {header.name_bytes, header.log_bytes, header.binary_bytes}) {
    if (part > rest) return {};
    rest -= part;
  }
  return rest == 0 ? std::optional(header) : std::nullopt;
}

// Why machine code from this file or folder is not run: somebody else may have written it. Empty if nobody
// can have. Files of root are trusted, so that a package can contain kernels.
std::string why_untrusted(const fs::path& path, bool is_folder) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return fmt::format("{}: {}", path.string(), std::strerror(errno));
  if (is_folder && S_ISLNK(status.st_mode) && ::stat(path.c_str(), &status) != 0)
    return fmt::format("{}: {}", path.string(), std::strerror(errno));
  if (is_folder ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode))
    return fmt::format("{} is no {}", path.string(), is_folder ? "folder" : "regular file");
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    return fmt::format("{} belongs to user {}, kernels of user {} or 0 are used", path.string(),
                       status.st_uid, ::geteuid());
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fmt::format("{} can be written by others (mode {:o})", path.string(), status.st_mode & 07777);
  return {};
}

// The kernel and the key that the file says it has; nothing if the file is damaged, or may be somebody
// else's.
std::optional<std::pair<JitKey, CompiledKernel>> read_kernel(const fs::path& path) {
  if (!why_untrusted(path, false).empty()) return {};
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  // The size of the open file, since another file may have taken its name by now.
  const std::streamoff file_bytes = file.tellg();
  if (!file.seekg(0)) return {};
  const auto header = read_header(file, static_cast<std::uint64_t>(file_bytes));
  if (!header) return {};
  CompiledKernel kernel;
  for (const auto& [text, bytes] :
       {std::pair(&kernel.name, header->name_bytes), std::pair(&kernel.log, header->log_bytes),
        std::pair(&kernel.binary, header->binary_bytes)}) {
    text->resize(bytes);
    if (!file.read(text->data(), static_cast<std::streamsize>(bytes))) return {};
  }
  if (checksum_of(kernel) != header->checksum) return {};
  return std::pair(header->key, std::move(kernel));
}

}  // namespace

JitKey make_jit_key(std::span<const std::string_view> parts) {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  JitKey key;
  bool is_done = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (const std::string_view part : parts) {
    const std::uint64_t bytes = part.size();
    is_done = is_done && EVP_DigestUpdate(context.get(), &bytes, sizeof bytes) == 1 &&
              EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  is_done = is_done && EVP_DigestFinal_ex(context.get(), key.data(), nullptr) == 1;
  QUIRE_CHECK_KIND(kUnsupported, is_done, "libcrypto offers no SHA-256, which the kernel cache needs");
  return key;
}

fs::path JitCache::path_of(const JitKey& key) const { return folder_ / (hex_of(key) + std::string(kSuffix)); }

std::optional<CompiledKernel> JitCache::try_load(const JitKey& key) const {
  if (folder_.empty() || !why_untrusted(folder_, true).empty()) return {};
  auto read = read_kernel(path_of(key));
  if (!read || read->first != key) return {};
  return std::move(read->second);
}

std::string JitCache::store(const JitKey& key, const CompiledKernel& kernel) const {
  if (folder_.empty()) return {};
  std::error_code ignored;
  if (fs::exists(folder_, ignored)) {
    if (std::string why = why_untrusted(folder_, true); !why.empty()) return why;
  }
  FileHeader header{{},  kernel.name.size(), kernel.log.size(), kernel.binary.size(),
                    key, checksum_of(kernel)};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  const std::string_view parts[] = {
      {reinterpret_cast<const char*>(&header), sizeof header}, kernel.name, kernel.log, kernel.binary};
  return write_atomically(path_of(key), parts);
}

std::vector<JitCacheEntry> JitCache::list() const {
  std::vector<JitCacheEntry> entries;
  const bool is_trusted = why_untrusted(folder_, true).empty();
  std::error_code error;
  for (fs::directory_iterator file(folder_, error), end; !error && file != end; file.increment(error)) {
    const std::string file_name = file->path().filename().string();
    if (!is_cache_file_name(file_name)) continue;
    const auto read = read_kernel(file->path());
    std::error_code ignored;
    const std::uintmax_t bytes = fs::file_size(file->path(), ignored);
    const bool is_valid =
        is_trusted && read.has_value() && hex_of(read->first) + std::string(kSuffix) == file_name;
    entries.push_back({file->path(),
                       is_valid ? read->second.name
                       : read   ? "not trusted"
                                : "damaged",
                       ignored ? 0 : bytes, is_valid});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return std::tie(a.name, a.path) < std::tie(b.name, b.path); });
  return entries;
}

int JitCache::clear() const {
  std::vector<fs::path> doomed;
  std::error_code error;
  int num_removed = 0;
  for (fs::directory_iterator file(folder_, error), end; !error && file != end; file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (is_cache_file_name(name) || is_partial_name(name)) doomed.push_back(file->path());
  }
  for (const fs::path& path : doomed) {
    const bool is_removed = fs::remove(path, error);
    QUIRE_CHECK_KIND(kExhausted, !error, "cannot remove {}: {}", path.string(), error.message());
    if (is_removed && is_cache_file_name(path.filename().string())) ++num_removed;
  }
  return num_removed;
}

}  // namespace quire
