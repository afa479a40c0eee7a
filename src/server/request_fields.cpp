#include "server/request_fields.h"

#include <cmath>
#include <limits>

#include "server/api_error.h"

namespace quire {
namespace {

constexpr std::int64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();
constexpr int kMaxDepth = 128;
constexpr std::size_t kMaxValues = 4'000'000;

// A number without a fraction is an integer however it is written, as in JSON Schema: 5.0 and 5e0 are 5.
std::optional<std::int64_t> as_integer(const Json& value) {
  constexpr double kMaxExact = 9007199254740992.0;  // 2^53
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    const bool is_exact = std::abs(number) <= kMaxExact && std::trunc(number) == number;
    if (!is_exact || (number == 0 && std::signbit(number))) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(kMaxInt64)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

}  // namespace

std::string show(const Json& value) {
  if (value.is_array()) return fmt::format("a list of {}", value.size());
  if (value.is_object()) return "an object";
  constexpr std::size_t kMaxShown = 60;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "…";
  return text;
}

RequestFields::RequestFields(const Json& object, std::string path)
    : object_(object), path_(std::move(path)) {}

void RequestFields::fail(const char* name, const char* wanted) const {
  const Json* value = find(name);
  throw_bad_request(path_of(name), "`{}` must be {}, got {}", path_of(name), wanted,
                    value == nullptr ? "nothing" : show(*value));
}

const Json* RequestFields::find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<bool> RequestFields::boolean(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail(name, "true or false");
  return value->get<bool>();
}

std::optional<std::int64_t> RequestFields::integer(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const auto number = as_integer(*value);
  if (!number) fail(name, "an integer of 64 bits");
  return number;
}

std::optional<double> RequestFields::number(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) fail(name, "a number");
  return value->get<double>();
}

std::optional<std::string> RequestFields::string(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail(name, "a string");
  return value->get<std::string>();
}

const Json* RequestFields::object(const char* name) const {
  const Json* value = find(name);
  if (value != nullptr && !value->is_object()) fail(name, "an object");
  return value;
}

const Json* RequestFields::array(const char* name, std::size_t max_entries) const {
  const Json* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) fail(name, "a list");
  if (value->size() > max_entries) {
    throw_bad_request(path_of(name), "`{}` has {} entries, at most {} are allowed", path_of(name),
                      value->size(), max_entries);
  }
  return value;
}

std::vector<std::int32_t> RequestFields::token_ids(const char* name, std::size_t max_entries) const {
  std::vector<std::int32_t> ids;
  const Json* list = array(name, max_entries);
  if (list == nullptr) return ids;
  for (const Json& entry : *list) {
    const auto id = as_integer(entry);
    if (!id || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
      throw_bad_request(path_of(name), "`{}` holds {}, must hold token ids", path_of(name), show(entry));
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  return ids;
}

std::vector<std::string> RequestFields::strings(const char* name, std::size_t max_entries) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array()) fail(name, "a string or a list of strings");
  std::vector<std::string> texts;
  for (const Json& entry : *array(name, max_entries)) {
    if (!entry.is_string()) {
      throw_bad_request(path_of(name), "`{}` holds {}, must hold strings", path_of(name), show(entry));
    }
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

Json parse_request_body(std::string_view body) {
  JsonLimits limits;
  limits.max_bytes = std::numeric_limits<std::size_t>::max();  // the connection has bounded the body
  limits.max_depth = kMaxDepth;
  limits.max_values = kMaxValues;
  Json root;
  try {
    root = parse_json(body, "body", limits);
  } catch (const Error& error) {
    throw ApiError(400, error.what());
  } catch (const Json::exception& error) {
    throw ApiError(400, error.what());
  }
  if (!root.is_object()) throw_bad_request({}, "the body must be a JSON object, got {}", show(root));
  return root;
}

}  // namespace quire
