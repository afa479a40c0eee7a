// The head of a request as RFC 9112 wants it, judged before anything else is done with it: where it ends,
// what it asks for, and how its body is framed. What two readers could understand differently is refused,
// since a proxy in front of the server may be the other reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "server/http_message.h"

namespace quire {

enum class Framing : std::uint8_t { kNone, kLength, kChunked };

struct RequestHead {
  HttpRequest request;  // without a body
  bool is_http_10 = false;
  bool keeps_alive = false;
  bool expects_continue = false;  // the client waits for "100 Continue" before it sends the body
  Framing framing = Framing::kNone;
  std::uint64_t body_bytes = 0;  // with kLength
};

// Finds the end of a head in bytes that arrive piece by piece, and refuses at the first byte that no head can
// hold.
class HeadScanner {
 public:
  explicit HeadScanner(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // `bytes` is all that has come, the same beginning each time. The bytes up to and with the empty line, or
  // nothing while it has not come. One empty line before the request is skipped. Throws ApiError 400, 431.
  std::optional<std::size_t> find_end(std::string_view bytes);

  // Where the request line begins, behind that empty line.
  std::size_t begin() const { return begin_; }

 private:
  const std::size_t max_bytes_;
  std::size_t num_seen_ = 0, begin_ = 0, line_begin_ = 0;
};

// `head` runs from the request line to the empty line, with it. Throws ApiError: 400 for what breaks RFC 9112
// or is ambiguous, 413 for a length beyond 64 bits, 417, 431 for too many headers, 501 for a transfer coding
// that is not read, 505.
RequestHead parse_request_head(std::string_view head);

// Is `text` what a Host header may hold: a name, an IPv4 address or an IPv6 address in brackets, and maybe a
// port?
bool is_host_and_port(std::string_view text);

}  // namespace quire
