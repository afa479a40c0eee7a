// Any bytes on a connection: heads end at one place however they are cut, what is taken has one meaning,
// another parser that takes the head as well sees the same body behind it, and bodies come out the same in
// any pieces. The first byte chooses the size of the pieces.
#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/api_error.h"
#include "server/body_reader.h"
#include "server/request_head.h"

namespace {

namespace http = boost::beast::http;
using quire::ApiError;
using quire::BodyReader;
using quire::Framing;
using quire::HeadScanner;
using quire::RequestHead;

constexpr std::size_t kMaxHeadBytes = 4096, kMaxBodyBytes = 2048;

void require(bool condition) {
  if (!condition) __builtin_trap();
}

struct Verdict {
  int status = 0;  // 0: no end yet; 200: taken
  std::size_t begin = 0, end = 0;
  bool operator==(const Verdict&) const = default;
};

Verdict scan(std::string_view bytes, std::size_t step) {
  HeadScanner scanner(kMaxHeadBytes);
  try {
    for (std::size_t here = std::min(step, bytes.size());; here = std::min(here + step, bytes.size())) {
      const auto end = scanner.find_end(bytes.substr(0, here));
      if (end) return {200, scanner.begin(), *end};
      if (here == bytes.size()) return {};
    }
  } catch (const ApiError& error) {
    return {error.status(), 0, 0};
  }
}

void check_head(const RequestHead& head) {
  require(!head.request.method.empty() && head.request.path.starts_with('/'));
  require(head.request.headers.size() <= 256);
  std::size_t num_hosts = 0;
  for (const auto& [name, value] : head.request.headers) {
    require(!name.empty() && name.find_first_of(" \t\r\n:ABCXYZ") == std::string::npos);
    require(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    num_hosts += name == "host";
    if (name == "host") require(value.empty() || quire::is_host_and_port(value));
  }
  require(num_hosts == 1 || (head.is_http_10 && num_hosts == 0));
  if (head.framing == Framing::kChunked)
    require(!head.is_http_10 && head.request.header("content-length") == nullptr);
  require((head.body_bytes > 0) == (head.framing == Framing::kLength));
}

// What another parser understands, if it takes the head at all.
void compare(const RequestHead& head, std::string_view bytes) {
  http::request_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  parser.header_limit(1 << 20);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if ((error && error != http::error::need_more) || !parser.is_header_done()) return;
  require(parser.chunked() == (head.framing == Framing::kChunked));
  const auto length = parser.content_length();
  require((length ? *length : 0) == head.body_bytes);
}

// The body, or nothing where it is refused or not whole.
std::optional<std::string> read_body(const RequestHead& head, std::string_view bytes, std::size_t step) {
  try {
    BodyReader reader(head.framing, head.body_bytes, kMaxBodyBytes);
    std::size_t taken = 0, here = 0;
    while (!reader.is_done()) {
      if (here == bytes.size()) return std::nullopt;
      here = std::min(here + step, bytes.size());
      taken += reader.put(bytes.substr(taken, here - taken));
      require(taken <= here && reader.num_bytes() <= kMaxBodyBytes);
    }
    return reader.take();
  } catch (const ApiError& error) {
    require(error.status() == 400 || error.status() == 413);
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  if (num_bytes == 0) return 0;
  const std::size_t step = data[0] % 32 + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, num_bytes - 1);
  const Verdict verdict = scan(bytes, std::max<std::size_t>(1, bytes.size()));
  require(verdict == scan(bytes, step));
  if (verdict.status != 200) {
    require(verdict.status == 0 || verdict.status == 400 || verdict.status == 431);
    return 0;
  }
  require(verdict.end <= kMaxHeadBytes);
  const std::string_view text = bytes.substr(verdict.begin, verdict.end - verdict.begin);
  RequestHead head;
  try {
    head = quire::parse_request_head(text);
  } catch (const ApiError& error) {
    constexpr int kStatuses[] = {400, 413, 417, 431, 501, 505};
    require(std::find(std::begin(kStatuses), std::end(kStatuses), error.status()) != std::end(kStatuses));
    return 0;
  }
  check_head(head);
  compare(head, text);
  const std::string_view rest = bytes.substr(verdict.end);
  require(read_body(head, rest, step) == read_body(head, rest, std::max<std::size_t>(1, rest.size())));
  return 0;
}
