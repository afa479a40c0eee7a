#include "base/text_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/check.h"

namespace quire {

std::string read_text_file(const std::string& path, std::size_t max_bytes, const std::string& what) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  QUIRE_CHECK_KIND(kNotFound, file, "cannot read {} {}: {}", what, path, std::strerror(errno));
  return read_text(file, max_bytes, what + " " + path);
}

std::string read_text(std::istream& in, std::size_t max_bytes, const std::string& origin) {
  constexpr std::size_t kPieceBytes = 1u << 20;
  std::string text;
  while (in && text.size() <= max_bytes) {
    const std::size_t begin = text.size();
    text.resize(begin + std::min(kPieceBytes, max_bytes + 1 - begin));
    errno = 0;
    in.read(text.data() + begin, static_cast<std::streamsize>(text.size() - begin));
    const int code = errno;
    QUIRE_CHECK_KIND(kNotFound, !in.bad(), "cannot read {}: {}", origin, std::strerror(code));
    text.resize(begin + static_cast<std::size_t>(in.gcount()));
  }
  QUIRE_CHECK(text.size() <= max_bytes, "{} has more than {} bytes", origin, max_bytes);
  return text;
}

}  // namespace quire
