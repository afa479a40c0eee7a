#include "server/access.h"

#include <gtest/gtest.h>

#include "server/api_error.h"

namespace quire {
namespace {

HttpRequest with(Headers headers) {
  HttpRequest request;
  request.path = "/v1/models";
  request.headers = std::move(headers);
  return request;
}

int status_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const ApiError& error) {
    return error.status();
  }
  return 200;
}

TEST(Access, Keys) {
  const Access access({{"first", "second"}, {}, {}});
  EXPECT_EQ(access.check_key(with({{"authorization", "Bearer first"}})), 0u);
  EXPECT_EQ(access.check_key(with({{"authorization", "bearer second"}})), 1u);
  EXPECT_EQ(access.check_key(with({{"authorization", "Basic dXNlcjpzZWNvbmQ="}})), 1u);  // user:second
  for (const char* bad : {"", "Bearer", "Bearer ", "Bearer firs", "Bearer firsts", "Bearer first ",
                          "Digest first", "first", "Basic ====", "Basic dXNlcg==", "Basic !"}) {
    EXPECT_EQ(status_of([&] { access.check_key(with({{"authorization", bad}})); }), 401) << bad;
  }
  EXPECT_EQ(status_of([&] { access.check_key(with({})); }), 401);
  EXPECT_EQ(Access({}).check_key(with({})), 0u);
}

TEST(Access, HostsOfOthersAreRefused) {
  const Access local({{}, {}, {"localhost"}});
  const auto ask = [](const Access& access, const char* host) {
    return status_of([&] { access.check_host_and_origin(with({{"host", host}})); });
  };
  for (const char* host : {"localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "[::1]"})
    EXPECT_EQ(ask(local, host), 200) << host;
  for (const char* host :
       {"evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil", "", "[::2]"}) {
    EXPECT_EQ(ask(local, host), 403) << host;
  }
  EXPECT_EQ(ask(Access({{}, {}, {"models.example"}}), "models.example:443"), 200);
  EXPECT_EQ(ask(Access({{}, {}, {"*"}}), "anything"), 200);
}

// A page whose name its owner's DNS points at this server is of the server's own origin to a browser.
TEST(Access, WithoutKeysOnlyAddressesAreTakenUnlessHostsAreNamed) {
  const auto ask = [](const Access& access, const char* host) {
    return status_of([&] {
      access.check_host_and_origin(with({{"host", host}, {"origin", "http://" + std::string(host)}}));
    });
  };
  const Access open({}), keyed({{"key"}, {}, {}});
  for (const char* host : {"localhost:8000", "10.1.2.3", "10.1.2.3:8000", "[2001:db8::1]:8000", "[::1]"})
    EXPECT_EQ(ask(open, host), 200) << host;
  for (const char* host :
       {"rebound.evil:8000", "10.1.2.3.evil", "10.1.2", "0x7f000001", "", "[::1].evil", "2001:db8::1"}) {
    EXPECT_EQ(ask(open, host), 403) << host;
  }
  EXPECT_EQ(ask(keyed, "any.name:8000"), 200) << "a page has no key";
}

TEST(Access, OriginsOfOthersAreRefused) {
  const Access access({{}, {"https://app.example"}, {}});
  const auto ask = [&](const char* origin) {
    return status_of([&] {
      access.check_host_and_origin(with({{"host", "localhost:8000"}, {"origin", origin}}));
    });
  };
  EXPECT_EQ(ask("http://localhost:8000"), 200);
  EXPECT_EQ(ask("https://app.example"), 200);
  for (const char* origin :
       {"https://evil.example", "null", "http://localhost:9000", "https://app.example.evil"})
    EXPECT_EQ(ask(origin), 403) << origin;
  EXPECT_TRUE(access.cors_headers(with({{"origin", "https://evil.example"}})).empty());
  EXPECT_TRUE(access.cors_headers(with({})).empty());
  EXPECT_EQ(access.cors_headers(with({{"origin", "https://app.example"}}))[0].second, "https://app.example");
}

TEST(Access, EachKeyHasItsOwnPrefixes) {
  const Access one({{"a"}, {}, {}}), two({{"a", "b"}, {}, {}});
  EXPECT_EQ(one.cache_salt(0, std::nullopt), std::nullopt);
  EXPECT_EQ(one.cache_salt(0, "x"), "x");
  EXPECT_NE(two.cache_salt(0, std::nullopt), two.cache_salt(1, std::nullopt));
  EXPECT_NE(two.cache_salt(0, "x"), two.cache_salt(0, std::nullopt));
  EXPECT_EQ(two.cache_salt(0, "x"), two.cache_salt(0, "x"));
  EXPECT_EQ(two.cache_salt(0, "x")->size(), 64u);
}

}  // namespace
}  // namespace quire
