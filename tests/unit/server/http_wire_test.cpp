#include "server/http_wire.h"

#include <gtest/gtest.h>

namespace quire {
namespace {

ReplyOutput piece(std::string body, bool is_last, std::optional<HttpHead> head = {}) {
  ReplyOutput output;
  output.head = std::move(head);
  output.body = std::move(body);
  output.is_last = is_last;
  return output;
}

TEST(WireFormat, AWholeBodyHasALength) {
  WireFormat wire(false, true, false);
  EXPECT_EQ(wire.bytes_of(piece("{}", true, HttpHead{404, "application/json", {{"A", "b"}}})),
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\nA: "
            "b\r\nConnection: keep-alive\r\n\r\n{}");
  EXPECT_TRUE(wire.keeps_alive());
}

TEST(WireFormat, AStreamComesInChunks) {
  WireFormat wire(false, true, false);
  const std::string begin =
      wire.bytes_of(piece("data: 1\n\n", false, HttpHead{200, "text/event-stream", {}, true}));
  EXPECT_TRUE(begin.ends_with("\r\n\r\n9\r\ndata: 1\n\n\r\n")) << begin;
  EXPECT_NE(begin.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(wire.bytes_of(piece("", false)), "");
  EXPECT_EQ(wire.bytes_of(piece(std::string(17, 'x'), true)),
            "11\r\n" + std::string(17, 'x') + "\r\n0\r\n\r\n");
}

TEST(WireFormat, OldClientsGetStreamsThatEndWithTheConnection) {
  WireFormat wire(true, true, false);
  const std::string begin = wire.bytes_of(piece("x", false, HttpHead{200, "text/event-stream", {}, true}));
  EXPECT_EQ(begin.find("chunked"), std::string::npos);
  EXPECT_FALSE(wire.keeps_alive());
  EXPECT_EQ(wire.bytes_of(piece("y", true)), "y");
}

TEST(WireFormat, HeadHasNoBody) {
  WireFormat wire(false, true, true);
  EXPECT_TRUE(wire.bytes_of(piece("12345", true, HttpHead{}))
                  .ends_with("Content-Length: 5\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(WireFormat, ASharedBodyFollowsItsHead) {
  ReplyOutput output;
  output.head = HttpHead{};
  output.shared_body = std::make_shared<const std::string>("12345");
  output.is_last = true;
  WireFormat wire(false, true, false), head_only(false, true, true);
  EXPECT_TRUE(wire.bytes_of(output).ends_with("Content-Length: 5\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_EQ(head_only.bytes_of(output), wire.bytes_of(output));
  EXPECT_TRUE(wire.sends_body() && !head_only.sends_body());
}

TEST(DecodePath, TakesPathsAndNothingElse) {
  EXPECT_EQ(decode_path("/v1/models?x=1"), "/v1/models");
  EXPECT_EQ(decode_path("/v1/models/a%2Fb%20c"), "/v1/models/a/b c");
  for (const char* bad : {"", "*", "http://x/", "/%", "/%2", "/%zz", "/%00", "/%0a", "/%1"}) {
    EXPECT_FALSE(decode_path(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace quire
