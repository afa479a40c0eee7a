// HTTP/1.1 as bytes, on the way out; and the little of the way in that the parser leaves to us.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/http_message.h"

namespace quire {

// Turns the outputs of one reply into bytes: head, then the body with its length, or in chunks when it is a
// stream.
class WireFormat {
 public:
  WireFormat(bool is_http_10, bool keeps_alive, bool is_head_only)
      : is_http_10_(is_http_10), keeps_alive_(keeps_alive), is_head_only_(is_head_only) {}

  // All bytes but those of a shared body, which follow unless the request was HEAD.
  std::string bytes_of(const ReplyOutput& output);
  bool sends_body() const { return !is_head_only_; }
  bool keeps_alive() const { return keeps_alive_; }  // after the last output

 private:
  std::string head(const HttpHead& head, std::size_t body_bytes);

  bool is_http_10_, keeps_alive_, is_head_only_;
  bool is_chunked_ = false;
};

std::string lower_case(std::string_view text);

// The path of a request's target, without the query and with %XX resolved; nothing for what is no path.
std::optional<std::string> decode_path(std::string_view target);

}  // namespace quire
