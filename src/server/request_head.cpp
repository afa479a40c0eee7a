#include "server/request_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "server/api_error.h"
#include "server/http_wire.h"

namespace quire {
namespace {

constexpr std::size_t kMaxHeaders = 256;
constexpr std::size_t kMaxMethodBytes = 32;
// Of these a second one would be somebody else's opinion.
constexpr std::array<std::string_view, 10> kSingletons = {
    "host",          "content-length", "transfer-encoding", "content-type", "content-encoding", "origin",
    "authorization", "expect",         "x-request-timeout", "x-request-id"};

[[noreturn]] void refuse_head(std::string_view why) {
  throw ApiError(400, fmt::format("this is not a request of HTTP/1.1: {}", why));
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_token(std::string_view text) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [=](char c) {
    return is_alphanumeric(c) || kOthers.find(c) != std::string_view::npos;
  });
}

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// The line at `at` without its end; moves `at` behind it. The scanner has seen that each LF follows a CR.
std::string_view take_line(std::string_view head, std::size_t& at) {
  const std::size_t end = head.find("\r\n", at);
  if (end == std::string_view::npos) refuse_head("a line has no end");
  const std::string_view line = head.substr(at, end - at);
  at = end + 2;
  return line;
}

// "a, b" holds "b".
bool lists(std::string_view value, std::string_view wanted) {
  const std::string list = lower_case(value);
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    if (trim(std::string_view(list).substr(at, end - at)) == wanted) return true;
    at = end + 1;
  }
  return false;
}

void parse_version(std::string_view version, RequestHead& head) {
  if (version == "HTTP/1.1" || version == "HTTP/1.0") {
    head.is_http_10 = version.back() == '0';
    return;
  }
  const bool is_version = version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) &&
                          version[6] == '.' && is_digit(version[7]);
  if (!is_version) refuse_head("the request line does not end with HTTP/1.1");
  throw ApiError(505, "the server speaks HTTP/1.1 and HTTP/1.0");
}

// "http://host:port/path" -> "/path", and the authority. RFC 9112 3.2.2: clients may send it, and then it
// counts instead of the Host header.
std::string_view split_absolute_form(std::string_view target, std::optional<std::string>& authority) {
  const std::size_t scheme_end = target.find("://");
  if (target.starts_with('/') || scheme_end == std::string_view::npos) return target;
  const std::string scheme = lower_case(target.substr(0, scheme_end));
  if (scheme != "http" && scheme != "https") refuse_head("the target names another protocol");
  const std::string_view rest = target.substr(scheme_end + 3);
  const std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
  authority = std::string(rest.substr(0, path));
  if (authority->empty() || !is_host_and_port(*authority)) refuse_head("the target names no host");
  return path == rest.size() || rest[path] == '?' ? std::string_view("/") : rest.substr(path);
}

void parse_request_line(std::string_view line, RequestHead& head, std::optional<std::string>& authority) {
  const std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) refuse_head("the request line has not three parts");
  const std::string_view method = line.substr(0, first), target = line.substr(first + 1, last - first - 1);
  if (!is_token(method) || method.size() > kMaxMethodBytes) refuse_head("the method is not a word");
  parse_version(line.substr(last + 1), head);
  const bool is_visible = !target.empty() && std::all_of(target.begin(), target.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '#' && c != '"' && c != '<' && c != '>';
  });
  if (!is_visible) refuse_head("the target holds characters that belong into no address");
  const auto path = decode_path(split_absolute_form(target, authority));
  if (!path) refuse_head("the target is not a path");
  head.request.method = std::string(method);
  head.request.path = *path;
}

void parse_field(std::string_view line, Headers& headers) {
  if (line.front() == ' ' || line.front() == '\t') refuse_head("a header is folded over two lines");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
    refuse_head("a header's name is not a word with a colon behind it");
  std::string name = lower_case(line.substr(0, colon));
  const bool is_single = std::find(kSingletons.begin(), kSingletons.end(), name) != kSingletons.end();
  const bool is_second = is_single && std::any_of(headers.begin(), headers.end(),
                                                  [&](const auto& header) { return header.first == name; });
  if (is_second) refuse_head(fmt::format("there are two headers {}", name));
  headers.emplace_back(std::move(name), std::string(trim(line.substr(colon + 1))));
}

// Only `chunked` alone is read. Behind other codings it could be undone first, but they could not.
void judge_coding(std::string_view coding) {
  if (lower_case(coding) == "chunked") return;
  const std::size_t comma = std::min(coding.rfind(','), coding.size());
  const bool is_chunked_last =
      comma < coding.size() && lower_case(trim(coding.substr(comma + 1))) == "chunked";
  if (!is_chunked_last || lists(coding.substr(0, comma), "chunked"))
    refuse_head("Transfer-Encoding must end with chunked, once");
  throw ApiError(501, "of the transfer codings only chunked is read");
}

// RFC 9112 6.3: what does not say without doubt where the body ends is refused.
void judge_framing(RequestHead& head) {
  const std::string* coding = head.request.header("transfer-encoding");
  const std::string* length = head.request.header("content-length");
  if (coding != nullptr) {
    if (length != nullptr) refuse_head("it has both Content-Length and Transfer-Encoding");
    if (head.is_http_10) refuse_head("HTTP/1.0 has no Transfer-Encoding");
    judge_coding(*coding);
    head.framing = Framing::kChunked;
  } else if (length != nullptr) {
    if (length->empty() || !std::all_of(length->begin(), length->end(), is_digit))
      refuse_head("Content-Length is not a number");
    const auto result = std::from_chars(length->data(), length->data() + length->size(), head.body_bytes);
    if (result.ec != std::errc()) throw ApiError(413, "the body is larger than any server reads");
    if (head.body_bytes > 0) head.framing = Framing::kLength;
  }
}

void judge_host(RequestHead& head, const std::optional<std::string>& authority) {
  Headers& headers = head.request.headers;
  const auto host =
      std::find_if(headers.begin(), headers.end(), [](const auto& header) { return header.first == "host"; });
  if (host == headers.end()) {
    if (!head.is_http_10) refuse_head("the Host header is missing");
    if (authority) headers.emplace_back("host", *authority);
    return;
  }
  if (!host->second.empty() && !is_host_and_port(host->second)) refuse_head("the Host header names no host");
  if (authority) host->second = *authority;
}

void judge_connection(RequestHead& head) {
  std::string connection;  // of all its lines
  for (const auto& [name, value] : head.request.headers) {
    if (name == "connection") connection += value + ",";
  }
  const bool wants_close = lists(connection, "close");
  head.keeps_alive = !wants_close && (!head.is_http_10 || lists(connection, "keep-alive"));
  const std::string* expect = head.request.header("expect");
  if (expect == nullptr || head.is_http_10) return;
  if (lower_case(*expect) != "100-continue")
    throw ApiError(417, "the only expectation that is met is 100-continue");
  head.expects_continue = head.framing != Framing::kNone;
}

}  // namespace

std::optional<std::size_t> HeadScanner::find_end(std::string_view bytes) {
  for (; num_seen_ < bytes.size() && num_seen_ < max_bytes_; ++num_seen_) {
    const char c = bytes[num_seen_];
    const bool follows_cr = num_seen_ > 0 && bytes[num_seen_ - 1] == '\r';
    if ((c == '\n') != follows_cr) refuse_head("a line must end with CR and LF");
    if (c != '\n') {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && c != '\t' && c != '\r') || byte == 0x7f)
        refuse_head("the head holds control characters");
      continue;
    }
    const bool is_empty_line = num_seen_ == line_begin_ + 1;
    const bool is_first_line = line_begin_ == begin_;
    line_begin_ = num_seen_ + 1;
    if (!is_empty_line) continue;
    if (!is_first_line) return ++num_seen_;
    if (begin_ > 0) refuse_head("it begins with empty lines");
    begin_ = line_begin_;
  }
  if (num_seen_ >= max_bytes_)
    throw ApiError(431,
                   fmt::format("the head of the request is larger than the {} bytes that this server reads",
                               max_bytes_));
  return std::nullopt;
}

bool is_host_and_port(std::string_view text) {
  std::size_t port = text.find(':');
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || bracket < 3) return false;
    constexpr std::string_view kHexColonDot = "0123456789abcdefABCDEF:.";
    if (text.substr(1, bracket - 1).find_first_not_of(kHexColonDot) != std::string_view::npos) return false;
    port = bracket + 1;
    if (port < text.size() && text[port] != ':') return false;
  } else {
    const std::string_view name = text.substr(0, port);
    const bool is_name =
        !name.empty() && name.size() <= 255 && std::all_of(name.begin(), name.end(), [](char c) {
          return is_alphanumeric(c) || c == '.' || c == '-' || c == '_';
        });
    if (!is_name) return false;
  }
  if (port >= text.size()) return true;
  const std::string_view digits = text.substr(port + 1);
  return digits.size() <= 5 && std::all_of(digits.begin(), digits.end(), is_digit);
}

RequestHead parse_request_head(std::string_view bytes) {
  RequestHead head;
  std::optional<std::string> authority;
  std::size_t at = 0;
  parse_request_line(take_line(bytes, at), head, authority);
  for (std::string_view line = take_line(bytes, at); !line.empty(); line = take_line(bytes, at)) {
    if (head.request.headers.size() >= kMaxHeaders)
      throw ApiError(431, fmt::format("the request has more than {} headers", kMaxHeaders));
    parse_field(line, head.request.headers);
  }
  judge_host(head, authority);
  judge_framing(head);
  judge_connection(head);
  return head;
}

}  // namespace quire
