#include "server/client_address.h"

#include <gtest/gtest.h>

#include "unit/error_message.h"

namespace quire {
namespace {

const ClientAddresses kNone({});
const ClientAddresses kProxies({"127.0.0.1", "10.0.0.0/8", "fd00::/8", "::1"});

std::string client_of(const ClientAddresses& addresses, const std::string& peer,
                      const std::string& forwarded) {
  return addresses.client_of(peer, {{"host", "x"}, {"x-forwarded-for", forwarded}});
}

TEST(ClientAddress, IsWhatOneClientHasToItself) {
  EXPECT_EQ(kNone.client_of("192.0.2.7", {}), "192.0.2.7");
  EXPECT_EQ(kNone.client_of("::ffff:192.0.2.7", {}), "192.0.2.7");
  EXPECT_EQ(kNone.client_of("2001:db8:1:2:3:4:5:6", {}), "2001:db8:1:2::/64");
  EXPECT_EQ(kNone.client_of("fe80::1%eth0", {}), "fe80::/64");
  EXPECT_EQ(kNone.client_of("", {}), "");
}

TEST(ClientAddress, NobodyIsBelievedUnlessTheFlagNamesIt) {
  EXPECT_EQ(client_of(kNone, "127.0.0.1", "192.0.2.7"), "127.0.0.1");
  EXPECT_EQ(client_of(kProxies, "192.0.2.9", "192.0.2.7"), "192.0.2.9");
  EXPECT_EQ(client_of(kProxies, "11.0.0.1", "192.0.2.7"), "11.0.0.1");
}

TEST(ClientAddress, IsReadFromTheNearestProxyOn) {
  EXPECT_EQ(client_of(kProxies, "127.0.0.1", "192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(client_of(kProxies, "::ffff:10.255.0.1", "192.0.2.7"), "192.0.2.7") << "also as IPv6 maps it";
  EXPECT_EQ(client_of(kProxies, "fd12::1", "2001:db8::5"), "2001:db8::/64");
  EXPECT_EQ(client_of(kProxies, "127.0.0.1", "1.1.1.1, 192.0.2.7"), "192.0.2.7")
      << "the client wrote the first";
  EXPECT_EQ(client_of(kProxies, "127.0.0.1", "1.1.1.1 ,\t192.0.2.7 , 10.0.0.3"), "192.0.2.7")
      << "two proxies";
  EXPECT_EQ(client_of(kProxies, "127.0.0.1", "10.0.0.4,10.0.0.3"), "10.0.0.4") << "a client in the network";
  EXPECT_EQ(
      kProxies.client_of("127.0.0.1", {{"x-forwarded-for", "192.0.2.7"}, {"x-forwarded-for", "192.0.2.8"}}),
      "192.0.2.8")
      << "headers are one list";
}

TEST(ClientAddress, Ports) {
  EXPECT_EQ(client_of(kProxies, "127.0.0.1", "192.0.2.7:4711"), "192.0.2.7");
  EXPECT_EQ(client_of(kProxies, "127.0.0.1", "[2001:db8::5]:4711"), "2001:db8::/64");
  EXPECT_EQ(client_of(kProxies, "127.0.0.1", "[2001:db8::5]"), "2001:db8::/64");
}

TEST(ClientAddress, WhatIsNoAddressEndsTheList) {
  for (const char* entry : {"", " ", "unknown", "_hidden", "192.0.2", "192.0.2.7.8", "[", "[]", "]", ":",
                            "::1::", "192.0.2.7,", "1.1.1.1, x", "\"192.0.2.7\""}) {
    EXPECT_EQ(client_of(kProxies, "10.0.0.1", entry), "10.0.0.1") << entry;
  }
  EXPECT_EQ(client_of(kProxies, "10.0.0.1", "192.0.2.7, unknown, 10.0.0.3"), "10.0.0.3");
}

TEST(ClientAddress, NetworksThatAreNone) {
  const auto refusal = [](const std::string& text) {
    return message_of([&] { ClientAddresses({"127.0.0.1", text}); }, ErrorKind::kInvalidArgument);
  };
  for (const char* text :
       {"", "proxy", "localhost", "10.0.0", "10.0.0.1:80", "[::1]", "fe80::1%eth0", "*", "/8"})
    EXPECT_NE(refusal(text).find("must be an address or a network"), std::string::npos) << text;
  for (const char* text : {"10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/ 8", "::/129"})
    EXPECT_NE(refusal(text).find("a number of bits from 0 to "), std::string::npos) << text;
  EXPECT_NE(refusal("10.1.2.3/8").find("begins at 10.0.0.0: write 10.0.0.0/8"), std::string::npos);
  EXPECT_EQ(client_of(ClientAddresses({"0.0.0.0/0"}), "8.8.8.8", "192.0.2.7"), "192.0.2.7");
}

}  // namespace
}  // namespace quire
