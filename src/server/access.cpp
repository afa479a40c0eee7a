#include "server/access.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cctype>

#include "server/api_error.h"

namespace quire {
namespace {

std::array<unsigned char, 32> digest_of(std::string_view text) {
  std::array<unsigned char, 32> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// "user:password" of Basic authentication, or nothing.
std::string decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > 4096) return {};
  std::string bytes(text.size() / 4 * 3, '\0');
  const int num_bytes =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (num_bytes < 0) return {};
  const auto padding = static_cast<std::size_t>(std::count(text.end() - 2, text.end(), '='));
  bytes.resize(static_cast<std::size_t>(num_bytes) - padding);
  return bytes;
}

std::string shown_key(const HttpRequest& request) {
  const std::string* header = request.header("authorization");
  if (header == nullptr) return {};
  const std::size_t space = header->find(' ');
  if (space == std::string::npos) return {};
  const std::string scheme = lower(header->substr(0, space));
  const std::string_view value = std::string_view(*header).substr(space + 1);
  if (scheme == "bearer") return std::string(value);
  if (scheme != "basic") return {};
  const std::string pair = decode_base64(value);
  const std::size_t colon = pair.find(':');
  return colon == std::string::npos ? "" : pair.substr(colon + 1);
}

// "Example.org:8000" -> "example.org", "[::1]:8000" -> "[::1]"
std::string host_name(std::string_view host) {
  const std::size_t bracket = host.find(']');
  const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return lower(host.substr(0, colon));
}

bool is_address(std::string_view name) {
  std::array<unsigned char, sizeof(in6_addr)> address;
  if (name.starts_with('[') && name.ends_with(']'))
    return inet_pton(AF_INET6, std::string(name.substr(1, name.size() - 2)).c_str(), address.data()) == 1;
  return inet_pton(AF_INET, std::string(name).c_str(), address.data()) == 1;
}

bool holds(const std::vector<std::string>& list, std::string_view value) {
  return std::any_of(list.begin(), list.end(),
                     [value](const std::string& entry) { return entry == "*" || entry == value; });
}

}  // namespace

Access::Access(AccessOptions options) : options_(std::move(options)) {
  for (const std::string& key : options_.api_keys) key_digests_.push_back(digest_of(key));
}

std::size_t Access::check_key(const HttpRequest& request) const {
  if (key_digests_.empty()) return 0;
  const std::string key = shown_key(request);
  const Digest digest = digest_of(key);
  std::size_t found = key_digests_.size();
  for (std::size_t i = 0; i < key_digests_.size(); ++i) {
    if (CRYPTO_memcmp(digest.data(), key_digests_[i].data(), digest.size()) == 0) found = i;
  }
  if (found < key_digests_.size() && !key.empty()) return found;
  const bool is_page = request.path == "/" || request.path.starts_with("/page/");
  throw ApiError(401, "a valid API key is needed: Authorization: Bearer KEY", {},
                 {{"WWW-Authenticate", is_page ? "Basic realm=\"quire\"" : "Bearer"}});
}

void Access::check_host_and_origin(const HttpRequest& request) const {
  const std::string* host = request.header("host");
  if (host != nullptr && !is_allowed_host(host_name(*host)))
    throw ApiError(403, "the Host header names another server; see --allowed-hosts");
  const std::string* origin = request.header("origin");
  if (origin == nullptr || is_allowed_origin(*origin)) return;
  const std::string own = host == nullptr ? "" : lower(*host);
  if (!own.empty() && (lower(*origin) == "http://" + own || lower(*origin) == "https://" + own)) return;
  throw ApiError(403, "pages of this origin may not call the server; see --allowed-origins");
}

bool Access::is_allowed_host(std::string_view name) const {
  if (name == "localhost" || name == "127.0.0.1" || name == "[::1]") return true;
  if (!options_.allowed_hosts.empty()) return holds(options_.allowed_hosts, name);
  return !key_digests_.empty() || is_address(name);
}

bool Access::is_allowed_origin(std::string_view origin) const {
  return holds(options_.allowed_origins, origin);
}

Headers Access::cors_headers(const HttpRequest& request) const {
  const std::string* origin = request.header("origin");
  if (origin == nullptr || !is_allowed_origin(*origin)) return {};
  return {{"Access-Control-Allow-Origin", *origin},
          {"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
          {"Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id, X-Request-Timeout"},
          {"Vary", "Origin"}};
}

std::optional<std::string> Access::cache_salt(std::size_t key_idx,
                                              const std::optional<std::string>& wanted) const {
  if (key_digests_.size() < 2) return wanted;
  std::string seed(reinterpret_cast<const char*>(key_digests_[key_idx].data()), key_digests_[key_idx].size());
  seed += wanted.value_or("");
  std::string salt;
  for (const unsigned char byte : digest_of(seed)) salt += fmt::format("{:02x}", byte);
  return salt;
}

}  // namespace quire
