#include "server/body_reader.h"

#include <gtest/gtest.h>

#include "server/api_error.h"

namespace quire {
namespace {

// The body and how many bytes it took, given in pieces of `step` bytes; as a connection does it, which offers
// again what was not taken.
std::pair<std::string, std::size_t> read(BodyReader& reader, const std::string& bytes, std::size_t step) {
  std::size_t taken = 0;
  for (std::size_t here = step; taken < bytes.size() && !reader.is_done(); here += step) {
    here = std::min(here, bytes.size());
    taken += reader.put(std::string_view(bytes).substr(taken, here - taken));
    if (here == bytes.size() && !reader.is_done()) break;
  }
  return {reader.is_done() ? reader.take() : "unfinished", taken};
}

int status_of(const std::string& chunks) {
  BodyReader reader(Framing::kChunked, 0, 1000);
  try {
    read(reader, chunks, 3);
  } catch (const ApiError& error) {
    return error.status();
  }
  return 200;
}

TEST(BodyReader, AnyPieces) {
  const std::string chunks = "3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nAuthorization: Bearer k\r\n\r\n";
  for (std::size_t step = 1; step <= chunks.size() + 4; ++step) {
    BodyReader plain(Framing::kLength, 8, 8), chunked(Framing::kChunked, 0, 8), none(Framing::kNone, 0, 8);
    EXPECT_EQ(read(plain, "abcdefghGET", step), (std::pair<std::string, std::size_t>("abcdefgh", 8)));
    EXPECT_EQ(read(chunked, chunks + "GET", step),
              (std::pair<std::string, std::size_t>("abcdefgh", chunks.size())))
        << step;
    EXPECT_TRUE(none.is_done());
  }
}

TEST(BodyReader, Bounds) {
  EXPECT_THROW(BodyReader(Framing::kLength, 9, 8), ApiError);
  EXPECT_EQ(status_of("3e8\r\n"), 200);
  EXPECT_EQ(status_of("3e9\r\n"), 413);
  EXPECT_EQ(status_of("3e8\r\n" + std::string(1000, 'x') + "\r\n1\r\n"), 413);
  EXPECT_EQ(status_of("fffffffffffffffff\r\n"), 400);
}

TEST(BodyReader, BrokenChunks) {
  for (const char* chunks :
       {"zz\r\n", "-1\r\n", "0x5\r\nhello\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n", "\r\n", "3 \r\nabc\r\n0\r\nx\r\n\r\n", "0\r\nBad Name: x\r\n\r\n"}) {
    EXPECT_EQ(status_of(chunks), 400) << chunks;
  }
}

}  // namespace
}  // namespace quire
