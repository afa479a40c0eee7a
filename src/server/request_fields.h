// Typed access to the fields of a JSON object from a client. The type is checked before anything is compared;
// a wrong one is an ApiError with status 400 that names the field. `null` means absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace quire {

class RequestFields {
 public:
  // `object` outlives this. `path` comes before the names in messages, e.g. "stream_options.".
  explicit RequestFields(const Json& object, std::string path = {});

  const Json* find(const char* name) const;  // null when absent or null
  std::string path_of(const char* name) const { return path_ + name; }

  std::optional<bool> boolean(const char* name) const;
  std::optional<std::int64_t> integer(
      const char* name) const;                           // no fraction (5.0 has none), 64 bits with a sign
  std::optional<double> number(const char* name) const;  // finite
  std::optional<std::string> string(const char* name) const;
  const Json* object(const char* name) const;
  const Json* array(const char* name, std::size_t max_entries) const;
  std::vector<std::int32_t> token_ids(const char* name, std::size_t max_entries) const;
  std::vector<std::string> strings(const char* name, std::size_t max_entries) const;  // a list, or one alone

  [[noreturn]] void fail(const char* name, const char* wanted) const;  // "`n` must be an integer, got true"

 private:
  const Json& object_;
  std::string path_;
};

// A value as a message shows it: short, without control characters.
std::string show(const Json& value);

// Parses a request's body: at most 128 levels deep, no duplicate keys. Throws ApiError 400.
Json parse_request_body(std::string_view body);

}  // namespace quire
