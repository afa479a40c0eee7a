#include "server/http_wire.h"

#include <fmt/format.h>

#include <cctype>

#include "server/api_error.h"

namespace quire {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char low = static_cast<char>(c | 0x20);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string result;
  for (const char c : text) result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::optional<std::string> decode_path(std::string_view target) {
  target = target.substr(0, target.find('?'));
  if (target.empty() || target.front() != '/') return std::nullopt;
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] != '%') {
      path += target[i];
      continue;
    }
    if (i + 2 >= target.size()) return std::nullopt;
    const int high = hex_digit(target[i + 1]), low = hex_digit(target[i + 2]);
    if (high < 0 || low < 0 || high * 16 + low < 0x20) return std::nullopt;
    path += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return path;
}

std::string WireFormat::head(const HttpHead& head, std::size_t body_bytes) {
  is_chunked_ = head.is_stream && !is_http_10_;
  if (head.is_stream && is_http_10_)
    keeps_alive_ = false;  // the end of the body is the end of the connection
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", head.status, reason_phrase(head.status));
  if (head.status != 204) text += fmt::format("Content-Type: {}\r\n", head.content_type);
  if (is_chunked_) {
    text += "Transfer-Encoding: chunked\r\n";
  } else if (!head.is_stream && head.status != 204) {
    text += fmt::format("Content-Length: {}\r\n", body_bytes);
  }
  for (const auto& [name, value] : head.headers) text += fmt::format("{}: {}\r\n", name, value);
  text += keeps_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return text;
}

std::string WireFormat::bytes_of(const ReplyOutput& output) {
  std::string bytes;
  if (output.head)
    bytes = head(*output.head, output.shared_body ? output.shared_body->size() : output.body.size());
  if (is_head_only_) return bytes;
  if (!is_chunked_) return bytes += output.body;
  if (!output.body.empty()) bytes += fmt::format("{:x}\r\n{}\r\n", output.body.size(), output.body);
  if (output.is_last) bytes += "0\r\n\r\n";
  return bytes;
}

}  // namespace quire
