// JSON from outside: size, depth and duplicate keys are limited while parsing, so that a hostile file costs little.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace quire {

using Json = nlohmann::json;  // objects are sorted maps: looking up one of 100,000 keys must not be linear

struct JsonLimits {
  std::size_t max_bytes = 256u << 20;
  int max_depth = 64;
  std::size_t max_values = 20'000'000;  // objects, arrays and scalars together
  bool reject_duplicate_keys = true;
};

// Parses `text`. Throws Error{kCorruptFile} that starts with `origin` (a file name) and names byte offset and limit.
Json parse_json(std::string_view text, const std::string& origin, const JsonLimits& limits = {});

}  // namespace quire
