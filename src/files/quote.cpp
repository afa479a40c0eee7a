#include "files/quote.h"

#include <fmt/format.h>

#include <algorithm>

namespace quire {

std::string quote(std::string_view name) {
  constexpr std::size_t kMaxBytes = 120;
  std::string text = "\"";
  for (const char c : name.substr(0, kMaxBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
  }
  text += name.size() > kMaxBytes ? "\"..." : "\"";
  return text;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  constexpr std::size_t kMaxExtents = 8;
  const auto shown = shape.first(std::min(shape.size(), kMaxExtents));
  return fmt::format("[{}{}]", fmt::join(shown, ", "), shape.size() > kMaxExtents ? ", ..." : "");
}

}  // namespace quire
