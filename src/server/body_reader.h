// Reads one body from bytes as they arrive: so many, or chunks until the last one (RFC 9112 7.1). Extensions
// of chunks and trailers are read and dropped: nothing behind the head can add to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/request_head.h"

namespace quire {

class BodyReader {
 public:
  // Throws ApiError 413 for a length beyond `max_bytes`.
  BodyReader(Framing framing, std::uint64_t body_bytes, std::size_t max_bytes);
  ~BodyReader();

  // Takes what belongs to the body and returns how many bytes that were; 0: more is needed to go on. Throws
  // ApiError 400, 413.
  std::size_t put(std::string_view bytes);

  bool is_done() const;
  std::size_t num_bytes() const;  // of the body, so far
  std::string take();             // once, when done

 private:
  struct Chunks;
  std::size_t put_plain(std::string_view bytes);
  std::size_t put_chunks(std::string_view bytes);

  const std::size_t max_bytes_;
  std::size_t num_left_ = 0;
  std::string body_;
  std::unique_ptr<Chunks> chunks_;  // null for a body with a length
};

}  // namespace quire
