// HTTP as the service sees it: a request that has been read, and a reply that comes in pieces. No sockets
// here.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quire {

using Clock = std::chrono::steady_clock;
inline Clock::duration to_duration(double time_s) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time_s));
}

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string path;    // without the query
  Headers headers;     // names in lower case
  std::string peer;  // the address of the connection's other end: a client or a proxy
  std::string body;
  std::shared_ptr<const void> body_hold;  // keeps the body's bytes counted; let go of it with them
  Clock::time_point arrival = Clock::now();

  // The value of a header (its name in lower case), or null.
  const std::string* header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return &value;
    }
    return nullptr;
  }
};

struct HttpHead {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers = {};
  bool is_stream = false;  // the body's length is not known; else it comes in one piece with the head
};

struct ReplyOutput {
  std::optional<HttpHead> head;  // once, before or with the first bytes of the body
  std::string body;
  std::shared_ptr<const std::string> shared_body;  // instead of `body`, whole: one text for many replies
  bool is_last = false;
  Clock::time_point wake_at = Clock::time_point::max();  // poll again then, if nobody wakes before
};

// The answer to one request. One thread at a time. Destroying it cancels what is still being computed.
class Reply {
 public:
  virtual ~Reply() = default;
  // Takes what can be sent now; maybe nothing. To be called at once, after each wake, and at `wake_at`.
  virtual ReplyOutput poll() = 0;
};

// Makes the connection poll its reply soon. May be called by any thread, also after the connection has gone.
using Waker = std::function<void()>;

// An answer that is there at once.
class ReadyReply : public Reply {
 public:
  ReadyReply(HttpHead head, std::string body) {
    output_.head = std::move(head);
    output_.body = std::move(body);
    output_.is_last = true;
  }
  ReplyOutput poll() override { return std::move(output_); }

 private:
  ReplyOutput output_;
};

}  // namespace quire
