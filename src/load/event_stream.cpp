#include "load/event_stream.h"

#include "base/check.h"

namespace quire {

void EventStream::feed(std::string_view bytes, const std::function<void(std::string_view)>& on_event) {
  while (!bytes.empty()) {
    if (was_cr_ && bytes.front() == '\n') {  // the second half of CRLF
      was_cr_ = false;
      bytes.remove_prefix(1);
      continue;
    }
    was_cr_ = false;
    const std::size_t end = bytes.find_first_of("\r\n");
    line_ += bytes.substr(0, end);
    QUIRE_CHECK_KIND(kExhausted, line_.size() + data_.size() <= kMaxEventBytes,
                     "an event has more than {} bytes", kMaxEventBytes);
    if (end == std::string_view::npos) return;
    was_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    end_line(on_event);
    line_.clear();
  }
}

void EventStream::end_line(const std::function<void(std::string_view)>& on_event) {
  if (line_.empty()) {
    if (has_data_) on_event(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  std::string_view line = line_;
  if (!line.starts_with("data") || (line.size() > 4 && line[4] != ':')) return;
  line.remove_prefix(std::min<std::size_t>(5, line.size()));
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_ += line;
  has_data_ = true;
}

}  // namespace quire
