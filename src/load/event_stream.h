// Server-sent events out of bytes that may be cut anywhere.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace quire {

// Lines end with LF, CRLF or CR. An event is its "data" fields, joined by newlines, at the next empty line;
// comments and other fields are skipped, and so is what stands behind the last empty line.
class EventStream {
 public:
  static constexpr std::size_t kMaxEventBytes = 16u << 20;

  // Calls `on_event` with the data of each event that is now complete. Throws Error{kExhausted} for an event
  // above kMaxEventBytes.
  void feed(std::string_view bytes, const std::function<void(std::string_view)>& on_event);

 private:
  void end_line(const std::function<void(std::string_view)>& on_event);

  std::string line_, data_;
  bool has_data_ = false, was_cr_ = false;
};

}  // namespace quire
