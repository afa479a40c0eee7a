#include "server/body_reader.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "server/api_error.h"

namespace quire {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::uint32_t kMaxTrailerBytes = 16 << 10;

ApiError too_large(std::size_t max_bytes) {
  return ApiError(413, fmt::format("the body is larger than the {} bytes that this server reads", max_bytes));
}

}  // namespace

// The library's parser reads the chunks. It never sees the client's head, which is judged already, but this
// one: so there is nothing about which the two could differ.
struct BodyReader::Chunks {
  http::request_parser<http::string_body> parser;

  explicit Chunks(std::size_t max_bytes) {
    parser.eager(true);
    parser.header_limit(kMaxTrailerBytes);
    parser.body_limit(max_bytes);
    constexpr std::string_view kHead = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    error_code error;
    parser.put(boost::asio::buffer(kHead.data(), kHead.size()), error);
  }
};

BodyReader::BodyReader(Framing framing, std::uint64_t body_bytes, std::size_t max_bytes)
    : max_bytes_(max_bytes) {
  if (framing == Framing::kChunked) {
    chunks_ = std::make_unique<Chunks>(max_bytes);
  } else if (framing == Framing::kLength) {
    if (body_bytes > max_bytes) throw too_large(max_bytes);
    num_left_ = static_cast<std::size_t>(body_bytes);
  }
}

BodyReader::~BodyReader() = default;

bool BodyReader::is_done() const { return chunks_ ? chunks_->parser.is_done() : num_left_ == 0; }

std::size_t BodyReader::num_bytes() const {
  return chunks_ ? chunks_->parser.get().body().size() : body_.size();
}

std::string BodyReader::take() {
  return chunks_ ? std::move(chunks_->parser.get().body()) : std::move(body_);
}

std::size_t BodyReader::put(std::string_view bytes) {
  if (bytes.empty() || is_done()) return 0;
  return chunks_ ? put_chunks(bytes) : put_plain(bytes);
}

std::size_t BodyReader::put_plain(std::string_view bytes) {
  const std::size_t num_taken = std::min(bytes.size(), num_left_);
  const std::size_t whole = body_.size() + num_left_;
  const std::size_t needed = body_.size() + num_taken;
  // Memory follows what has come, never what was announced.
  if (needed > body_.capacity()) body_.reserve(std::min(whole, 2 * needed));
  body_.append(bytes.substr(0, num_taken));
  num_left_ -= num_taken;
  return num_taken;
}

std::size_t BodyReader::put_chunks(std::string_view bytes) {
  std::size_t num_taken = 0;
  while (num_taken < bytes.size() && !is_done()) {
    error_code error;
    const std::size_t num =
        chunks_->parser.put(boost::asio::buffer(bytes.data() + num_taken, bytes.size() - num_taken), error);
    num_taken += num;
    if (error == http::error::body_limit) throw too_large(max_bytes_);
    if (error && error != http::error::need_more)
      throw ApiError(400, "the body is not in chunks as HTTP/1.1 has them");
    if (num == 0) break;
  }
  return num_taken;
}

}  // namespace quire
