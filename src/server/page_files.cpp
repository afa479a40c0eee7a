#include <algorithm>
#include <string>
#include <utility>

#include "server/api_error.h"
#include "server/page.h"

namespace quire {
namespace {

constexpr std::string_view kFolder = "/page/", kIndex = "index.html";

constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".svg", "image/svg+xml"},
};

// Of the live page: it runs its own scripts and talks to its own server, and nobody frames it.
const Headers& page_headers() {
  static const Headers headers = {
      {"Cache-Control", "no-cache"},
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
       "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
      {"X-Frame-Options", "DENY"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"}};
  return headers;
}

std::string type_of(std::string_view name) {
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return std::string(type);
  }
  return "application/octet-stream";
}

}  // namespace

std::unique_ptr<Reply> page_reply(std::string_view path) {
  const std::string_view name = path == "/" ? kIndex : path.substr(std::min(path.size(), kFolder.size()));
  for (const NamedText& file : live_page()) {
    if (file.name != name || (name == kIndex && path != "/")) continue;
    return std::make_unique<ReadyReply>(HttpHead{200, type_of(name), page_headers()},
                                        std::string(file.text));
  }
  throw ApiError(404, "the live page has no such file");
}

}  // namespace quire
