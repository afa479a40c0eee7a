// Whose share a request takes when it shows no key: the address that it came from, or the one for which a
// proxy that the deployment trusts has passed it on.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_message.h"

namespace quire {

// Of either version; one of IPv4 as IPv6 maps it (::ffff:a.b.c.d), so that both are compared alike.
using IpAddress = std::array<unsigned char, 16>;

class ClientAddresses {
 public:
  // Addresses and networks of proxies: "10.0.0.7", "10.0.0.0/8", "fd00::/8". Throws Error{kInvalidArgument}
  // that names the entry.
  explicit ClientAddresses(const std::vector<std::string>& trusted_proxies);

  // The address of the client as far as one client has it to itself: of IPv6 the network of 64 bits, in which
  // a host takes any address. `peer` is the address of the connection's other end. X-Forwarded-For is read
  // from its end, where the nearest proxy wrote, and only as far as those who wrote it are trusted: what a
  // client put there itself counts for nothing. A `peer` that is no address counts as it is written.
  std::string client_of(const std::string& peer, const Headers& headers) const;

 private:
  struct Network {
    IpAddress first;
    int num_bits;  // that all its addresses share
  };

  static Network parse_network(const std::string& text);
  bool is_trusted(const IpAddress& address) const;

  std::vector<Network> proxies_;
};

}  // namespace quire
