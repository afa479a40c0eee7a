// What RFC 9112 wants of a head, and that nothing passes about which another reader could think otherwise.
#include "server/request_head.h"

#include <gtest/gtest.h>

#include "server/api_error.h"

namespace quire {
namespace {

constexpr std::size_t kMaxBytes = 1000;

// The status that a whole request head gets; 200 if it is taken, 0 if more is wanted.
int judge(const std::string& bytes, RequestHead* taken = nullptr) {
  try {
    HeadScanner scanner(kMaxBytes);
    const auto end = scanner.find_end(bytes);
    if (!end) return 0;
    const RequestHead head =
        parse_request_head(std::string_view(bytes).substr(scanner.begin(), *end - scanner.begin()));
    if (taken != nullptr) *taken = head;
  } catch (const ApiError& error) {
    return error.status();
  }
  return 200;
}

std::string with(const std::string& fields) { return "POST /x HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"; }

RequestHead parsed(const std::string& bytes) {
  RequestHead head;
  EXPECT_EQ(judge(bytes, &head), 200) << bytes;
  return head;
}

TEST(RequestHead, IsTakenApart) {
  const RequestHead head =
      parsed("POST /v1/a%20b?q=1 HTTP/1.1\r\nHost: a.b-c_d:80\r\nX-Y:\t v w \r\nCONTENT-LENGTH: 12\r\n\r\n");
  EXPECT_EQ(head.request.method, "POST");
  EXPECT_EQ(head.request.path, "/v1/a b");
  EXPECT_EQ(*head.request.header("x-y"), "v w");
  EXPECT_EQ(*head.request.header("host"), "a.b-c_d:80");
  EXPECT_EQ(head.framing, Framing::kLength);
  EXPECT_EQ(head.body_bytes, 12u);
  EXPECT_TRUE(head.keeps_alive);
  EXPECT_FALSE(head.is_http_10);
  EXPECT_EQ(parsed(with("Transfer-Encoding: Chunked\r\n")).framing, Framing::kChunked);
  EXPECT_EQ(parsed(with("Content-Length: 0\r\n")).framing, Framing::kNone);
  EXPECT_EQ(parsed(with("")).framing, Framing::kNone);
}

TEST(RequestHead, CodingsThatHideTheEndOfTheBodyAreRefused) {
  for (const char* coding :
       {"xchunked", "gzip", "identity", "chunked, identity", "chunked, chunked", "", "chunked;",
        "\"chunked\"", "chunked,", ",chunked, chunked", "chun ked", "\vchunked"}) {
    EXPECT_EQ(judge(with("Transfer-Encoding: " + std::string(coding) + "\r\n")), 400) << coding;
  }
  EXPECT_EQ(judge(with("Transfer-Encoding: gzip, chunked\r\n")), 501);
  for (const char* fields : {"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
                             "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                             "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                             "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
                             "Content-Length: 2\r\nContent-Length: 2\r\n",
                             "Content-Length: 2, 2\r\n",
                             "Content-Length: +2\r\n",
                             "Content-Length: -2\r\n",
                             "Content-Length: 0x2\r\n",
                             "Content-Length: 2 3\r\n",
                             "Content-Length:\r\n",
                             "Content-Length: x\r\n",
                             "Content-Length : 2\r\n",
                             "Transfer-Encoding : chunked\r\n",
                             " Content-Length: 2\r\n",
                             "X: y\r\n Content-Length: 2\r\n",
                             "X: y\r\n\tfolded\r\n",
                             "X\r\n",
                             ": x\r\n",
                             "X Y: z\r\n",
                             "X(: z\r\n",
                             "Authorization: a\r\nAuthorization: b\r\n"}) {
    EXPECT_EQ(judge(with(fields)), 400) << fields;
  }
  EXPECT_EQ(judge(with("Content-Length: 99999999999999999999\r\n")), 413);
  EXPECT_EQ(judge("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(RequestHead, LinesEndWithCrLfAndHoldNoControlCharacters) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\nHost: a\n\n"), std::string("GET / HTTP/1.1\r\nHost: a\n\r\n"),
        std::string("GET / HTTP/1.1\rHost: a\r\n\r\n"), std::string("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nHost: a\r\nX: \0y\r\n\r\n", 38), std::string("\x16\x03\x01\x02"),
        std::string("GET / HTTP/1.1\r\nX: \x7f\r\n\r\n"), std::string("\r\n\r\nGET / HTTP/1.1\r\n"),
        std::string("\n")}) {
    EXPECT_EQ(judge(bytes), 400) << bytes;
  }
  EXPECT_EQ(judge(with("X: \xc3\xa9 \t\r\n")), 200);
}

TEST(RequestHead, HostIsThereOnceAndNamesAHost) {
  EXPECT_EQ(judge("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(judge("GET / HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(judge("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
  for (const char* host : {"localhost:80@evil", "user@a", "a b", "a,b", "a/b", "a?b", "a:b", "a:123456",
                           "[::1", "[]", "[x]", "[::1]x", "a%2eb", "http://a", "a:80:80"}) {
    EXPECT_EQ(judge("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n"), 400) << host;
  }
  for (const char* host : {"a", "a.b:8000", "127.0.0.1", "[::1]", "[2001:db8::1]:443", "a:", ""})
    EXPECT_EQ(judge("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n"), 200) << host;
}

TEST(RequestHead, TheAbsoluteFormAndAnEmptyLineBeforeAreTaken) {
  const RequestHead head = parsed("GET http://Other:81/a/b?c HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(head.request.path, "/a/b");
  EXPECT_EQ(*head.request.header("host"), "Other:81") << "it counts instead of the Host header";
  EXPECT_EQ(parsed("GET https://a?c HTTP/1.1\r\nHost: a\r\n\r\n").request.path, "/");
  EXPECT_EQ(parsed("\r\nGET /p HTTP/1.1\r\nHost: a\r\n\r\n").request.path, "/p");
  for (const char* target :
       {"http:///x", "http://u@a/x", "ftp://a/x", "http://a b/", "*", "a:80", "", "/a#b", "/\"", "x"})
    EXPECT_EQ(judge("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n"), 400) << target;
}

TEST(RequestHead, VersionsAndRequestLines) {
  for (const char* line : {"GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET / http/1.1",
                           "GET / HTTP/1.10", "GET / HTTP/11", " GET / HTTP/1.1", "G@T / HTTP/1.1",
                           "GET / /x HTTP/1.1", "GET\t/ HTTP/1.1", "GET / HTTP/x.y"}) {
    EXPECT_EQ(judge(std::string(line) + "\r\nHost: a\r\n\r\n"), 400) << line;
  }
  for (const char* version : {"HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/9.9"})
    EXPECT_EQ(judge("GET / " + std::string(version) + "\r\nHost: a\r\n\r\n"), 505) << version;
}

TEST(RequestHead, ConnectionAndExpect) {
  EXPECT_FALSE(parsed(with("Connection: x, Close\r\n")).keeps_alive);
  EXPECT_FALSE(parsed(with("Connection: keep-alive\r\nConnection: close\r\n")).keeps_alive);
  EXPECT_FALSE(parsed("GET / HTTP/1.0\r\n\r\n").keeps_alive);
  EXPECT_TRUE(parsed("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_alive);
  EXPECT_TRUE(parsed(with("Expect: 100-Continue\r\nContent-Length: 1\r\n")).expects_continue);
  EXPECT_FALSE(parsed(with("Expect: 100-continue\r\n")).expects_continue) << "there is no body";
  EXPECT_EQ(judge(with("Expect: 200-ok\r\n")), 417);
}

TEST(RequestHead, Bounds) {
  EXPECT_EQ(judge(with("X: " + std::string(kMaxBytes, 'y') + "\r\n")), 431);
  EXPECT_EQ(judge(std::string(kMaxBytes, 'G')), 431);
  std::string fields;
  for (int i = 0; i < 300; ++i) fields += "a:\r\n";
  RequestHead head;
  EXPECT_THROW(parse_request_head(with(fields)), ApiError);
  const std::string longest = with("X: " + std::string(kMaxBytes - with("X: \r\n").size(), 'y') + "\r\n");
  ASSERT_EQ(longest.size(), kMaxBytes);
  EXPECT_EQ(judge(longest), 200);
}

TEST(RequestHead, ArrivesInPiecesOfAnySize) {
  const std::string bytes = "\r\n" + with("X: y\r\n");
  HeadScanner scanner(kMaxBytes);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    EXPECT_FALSE(scanner.find_end(bytes.substr(0, i)).has_value()) << i;
  EXPECT_EQ(scanner.find_end(bytes + "more"), bytes.size());
  EXPECT_EQ(scanner.begin(), 2u);
}

}  // namespace
}  // namespace quire
