#include "conformance/source_places.h"

#include <dlfcn.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/check.h"

namespace quire {
namespace {

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  QUIRE_CHECK_KIND(kUnsupported, pipe != nullptr, "cannot run {}", command);
  std::string text;
  char part[4096];
  while (const std::size_t n = std::fread(part, 1, sizeof part, pipe.get())) text.append(part, n);
  return text;
}

// The last identifier of a mangled name "_ZN5quire3run…"; other names as they are. A lambda's is that of its
// function.
std::string short_name(const std::string& symbol) {
  std::size_t at = symbol.find_first_of("0123456789");
  if (!symbol.starts_with("_Z") || at == std::string::npos) return symbol;
  std::string name;
  while (at < symbol.size() && symbol[at] >= '0' && symbol[at] <= '9') {
    std::size_t length = 0;
    const char* digits = symbol.data() + at;
    at +=
        static_cast<std::size_t>(std::from_chars(digits, symbol.data() + symbol.size(), length).ptr - digits);
    name = symbol.substr(at, length);
    at += length;
  }
  return name;
}

SourceFrame frame_of(const std::string& symbol, const std::string& place) {
  const std::size_t colon = place.rfind(':');
  SourceFrame frame{short_name(symbol), place.substr(0, colon), 0};
  std::from_chars(place.data() + colon + 1, place.data() + place.size(), frame.line);
  QUIRE_CHECK_KIND(kUnsupported, frame.line > 0, "no debug information: {} at {}", symbol, place);
  return frame;
}

}  // namespace

std::vector<std::vector<SourceFrame>> source_places(const std::vector<const void*>& addresses) {
  if (addresses.empty()) return {};
  std::string command = fmt::format("'{}' -e '{}' -a -f -i", QUIRE_ADDR2LINE,
                                    std::filesystem::read_symlink("/proc/self/exe").string());
  for (const void* address : addresses) {
    Dl_info info{};
    QUIRE_CHECK_KIND(kUnsupported, ::dladdr(address, &info) != 0, "{} belongs to no program", address);
    command += fmt::format(" {:#x}",
                           static_cast<const char*>(address) - static_cast<const char*>(info.dli_fbase) - 1);
  }
  const std::string text = output_of(command);
  std::vector<std::vector<SourceFrame>> places;
  std::string symbol;
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (line.starts_with("0x")) {
      places.emplace_back();
    } else if (symbol.empty()) {
      symbol = line;
    } else if (!places.empty()) {
      places.back().push_back(frame_of(symbol, line.substr(0, line.find(" (discriminator"))));
      symbol.clear();
    }
  }
  QUIRE_CHECK_KIND(kUnsupported, places.size() == addresses.size(), "{} told {} of {} places",
                   QUIRE_ADDR2LINE, places.size(), addresses.size());
  return places;
}

}  // namespace quire
