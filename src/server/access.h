// Who may talk to the server: API keys, Host and Origin headers.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_message.h"

namespace quire {

struct AccessOptions {
  std::vector<std::string> api_keys;         // none: no key is needed
  std::vector<std::string> allowed_origins;  // of pages in browsers, beside the server's own; "*" is all
  // What a Host header may name beside loopback; "*" is all. None: with keys any name; without keys localhost
  // and addresses only. A page whose name somebody else's DNS lets point at this server shows that name, and
  // without keys nothing else would keep it out.
  std::vector<std::string> allowed_hosts;
};

class Access {
 public:
  explicit Access(AccessOptions options);

  bool needs_key() const { return !key_digests_.empty(); }

  // The number of the key that the request shows, by `Authorization: Bearer KEY` or as the password of Basic;
  // 0 when no key is needed. Compares with every key, each in a time that does not depend on where it
  // differs. Throws ApiError 401.
  std::size_t check_key(const HttpRequest& request) const;

  // Throws ApiError 403 for a Host that is not ours (a name that an attacker's DNS points at us) and for an
  // Origin that is neither the server's own nor allowed.
  void check_host_and_origin(const HttpRequest& request) const;

  // Headers of an answer to a page of an allowed origin; none without one.
  Headers cors_headers(const HttpRequest& request) const;

  // Requests share cached prefixes only under equal salts; with several keys each key has its own. What the
  // request itself asked for is mixed in.
  std::optional<std::string> cache_salt(std::size_t key_idx, const std::optional<std::string>& wanted) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  bool is_allowed_host(std::string_view name) const;
  bool is_allowed_origin(std::string_view origin) const;

  AccessOptions options_;
  std::vector<Digest> key_digests_;
};

}  // namespace quire
