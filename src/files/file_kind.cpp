#include "files/file_kind.h"

#include <algorithm>
#include <cctype>

#include "base/check.h"
#include "files/quote.h"

namespace quire {
namespace {

constexpr std::size_t kMaxLookedAt = 1024;

bool starts_with_word(std::string_view text, std::string_view word) {
  return text.size() >= word.size() &&
         std::equal(word.begin(), word.end(), text.begin(),
                    [](char want, char c) { return want == std::tolower(static_cast<unsigned char>(c)); });
}

// The value of a line "size 4976698672" of a Git LFS pointer; empty where there is none.
std::string_view size_of_pointer(std::string_view text) {
  constexpr std::string_view kKey = "\nsize ";
  const std::size_t at = text.find(kKey);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + kKey.size());
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  return text.substr(0, std::min<std::size_t>(end, 20));
}

struct Magic {
  std::string_view bytes, what;
};
constexpr Magic kMagics[] = {
    {"GGUF", "a GGUF file, which is not read; use the model's safetensors"},
    {std::string_view("PK\3\4", 4), "a zip archive, as PyTorch's own format is; use the model's safetensors"},
    {std::string_view("\x80\x02", 2), "a Python pickle, which is not read; use the model's safetensors"},
    {std::string_view("\x1f\x8b", 2), "compressed by gzip; unpack it first"},
    {std::string_view("\x28\xb5\x2f\xfd", 4), "compressed by zstd; unpack it first"},
    {std::string_view("\xfd"
                      "7zXZ",
                      5),
     "compressed by xz; unpack it first"},
    {"BZh9", "compressed by bzip2; unpack it first"},
    {std::string_view("7z\xbc\xaf", 4), "a 7z archive; unpack it first"},
    {std::string_view("\x93NUMPY", 6), "a NumPy file, which is not read; use the model's safetensors"},
    {std::string_view("\x89HDF\r\n", 6), "an HDF5 file, which is not read; use the model's safetensors"},
};

}  // namespace

std::string foreign_kind(std::string_view bytes) {
  bytes = bytes.substr(0, kMaxLookedAt);
  if (bytes.starts_with("version https://git-lfs.github.com/spec/")) {
    const std::string_view size = size_of_pointer(bytes);
    return fmt::format("a Git LFS pointer and not the file{}; fetch it with `git lfs pull`",
                       size.empty() ? "" : fmt::format(" of {} bytes that it stands for", size));
  }
  std::string_view text = bytes;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  if (starts_with_word(text, "<!doctype") || starts_with_word(text, "<html") ||
      starts_with_word(text, "<?xml"))
    return "a web page, most likely an error of the server that it was fetched from; fetch it again";
  for (const Magic& magic : kMagics) {
    if (bytes.starts_with(magic.bytes)) return std::string(magic.what);
  }
  return {};
}

void refuse_foreign(std::string_view bytes, const std::string& origin) {
  const std::string kind = foreign_kind(bytes);
  QUIRE_CHECK_KIND(kCorruptFile, kind.empty(), "{}: is {}", origin, kind);
}

}  // namespace quire
