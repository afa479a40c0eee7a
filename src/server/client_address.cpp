#include "server/client_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/check.h"

namespace quire {
namespace {

constexpr IpAddress kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
constexpr int kMappedBytes = 12;
constexpr int kNumBits = 128;

bool is_v4(const IpAddress& address) {
  return std::equal(kMapped.begin(), kMapped.begin() + kMappedBytes, address.begin());
}

std::optional<IpAddress> parse_address(std::string_view text) {
  const std::string plain(text.substr(0, text.find('%')));  // "fe80::1%eth0": the interface is ours
  IpAddress address = kMapped;
  if (inet_pton(AF_INET, plain.c_str(), address.data() + kMappedBytes) == 1) return address;
  if (inet_pton(AF_INET6, plain.c_str(), address.data()) == 1) return address;
  return std::nullopt;
}

std::string text_of(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4(address)) {
    inet_ntop(AF_INET, address.data() + kMappedBytes, text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, address.data(), text, sizeof(text));
  }
  return text;
}

// The network of `num_bits` bits that holds the address, as its first address.
IpAddress first_of(IpAddress address, int num_bits) {
  for (int bit = num_bits; bit < kNumBits; ++bit)
    address[static_cast<std::size_t>(bit / 8)] &= static_cast<unsigned char>(~(0x80 >> bit % 8));
  return address;
}

// Some proxies write the port too: "192.0.2.1:4711", "[2001:db8::1]:4711".
std::optional<IpAddress> parse_forwarded(std::string_view entry) {
  entry.remove_prefix(std::min(entry.find_first_not_of(" \t"), entry.size()));
  entry = entry.substr(0, entry.find_last_not_of(" \t") + 1);
  if (entry.starts_with('[')) {
    const std::size_t bracket = entry.find(']');
    return bracket == entry.npos ? std::nullopt : parse_address(entry.substr(1, bracket - 1));
  }
  const bool has_port = std::count(entry.begin(), entry.end(), ':') == 1;
  return parse_address(has_port ? entry.substr(0, entry.find(':')) : entry);
}

// The entries of all X-Forwarded-For headers, nearest proxy first.
std::vector<std::string_view> forwarded_for(const Headers& headers) {
  std::vector<std::string_view> entries;
  for (const auto& [name, value] : headers) {
    if (name != "x-forwarded-for") continue;
    for (std::string_view rest = value;;) {
      const std::size_t comma = rest.find(',');
      entries.push_back(rest.substr(0, comma));
      if (comma == rest.npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  std::reverse(entries.begin(), entries.end());
  return entries;
}

}  // namespace

ClientAddresses::ClientAddresses(const std::vector<std::string>& trusted_proxies) {
  for (const std::string& text : trusted_proxies) proxies_.push_back(parse_network(text));
}

ClientAddresses::Network ClientAddresses::parse_network(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_address(std::string_view(text).substr(0, slash));
  QUIRE_CHECK(address.has_value() && text.find('%') == text.npos,
              "a trusted proxy must be an address or a network, as 10.0.0.7 or 10.0.0.0/8, got \"{}\"", text);
  if (slash == text.npos) return {*address, kNumBits};
  const int most = is_v4(*address) ? 32 : kNumBits;
  int num_bits = -1;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data() + slash + 1, end, num_bits);
  QUIRE_CHECK(result.ec == std::errc() && result.ptr == end && num_bits >= 0 && num_bits <= most,
              "the trusted network \"{}\" needs a number of bits from 0 to {} behind its slash", text, most);
  const int all_bits = num_bits + kNumBits - most;
  const IpAddress first = first_of(*address, all_bits);
  QUIRE_CHECK(first == *address, "the trusted network \"{}\" begins at {}: write {}/{}", text, text_of(first),
              text_of(first), num_bits);
  return {first, all_bits};
}

bool ClientAddresses::is_trusted(const IpAddress& address) const {
  return std::any_of(proxies_.begin(), proxies_.end(), [&](const Network& network) {
    return first_of(address, network.num_bits) == network.first;
  });
}

std::string ClientAddresses::client_of(const std::string& peer, const Headers& headers) const {
  std::optional<IpAddress> client = parse_address(peer);
  if (!client) return peer;
  if (is_trusted(*client)) {
    for (const std::string_view entry : forwarded_for(headers)) {
      const auto address = parse_forwarded(entry);
      if (!address) break;  // "unknown": all who are behind this proxy share what it has
      client = address;
      if (!is_trusted(*client)) break;
    }
  }
  constexpr int kHostBits = 64;
  return is_v4(*client) ? text_of(*client) : text_of(first_of(*client, kHostBits)) + "/64";
}

}  // namespace quire
