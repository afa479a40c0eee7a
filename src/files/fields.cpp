#include "files/fields.h"

#include <utility>

#include "base/check.h"
#include "files/quote.h"

namespace quire {
namespace {

std::string value_text(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string()) return quote(value.get_ref<const std::string&>());
  return value.dump();
}

}  // namespace

Fields::Fields(const Json& object, std::string origin, std::string path)
    : object_(&object), origin_(std::move(origin)), path_(std::move(path)) {
  const std::string what = path_.empty() ? "the file" : "field \"" + path_.substr(0, path_.size() - 1) + "\"";
  QUIRE_CHECK_KIND(kCorruptFile, object.is_object(), "{}: {} is {}, expected an object", origin_, what,
                   value_text(object));
}

const Json* Fields::find(std::string_view key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::optional<int> Fields::try_int(std::string_view key, int min, int max) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  return int_value(*this, key, *value, min, max);
}

std::optional<double> Fields::try_number(std::string_view key, NumberRange range) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const bool ok =
      value->is_number() && value->get<double>() >= range.min && value->get<double>() <= range.max;
  if (!ok) refuse(key, *value, fmt::format("a number from {} to {}", range.min, range.max));
  return value->get<double>();
}

std::optional<bool> Fields::try_bool(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) refuse(key, *value, "true or false");
  return value->get<bool>();
}

std::optional<std::string> Fields::try_string(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_string()) refuse(key, *value, "a string");
  return value->get<std::string>();
}

std::optional<Fields> Fields::try_object(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  return Fields(*value, origin_, fmt::format("{}{}.", path_, key));
}

int Fields::get_int(std::string_view key, int min, int max) const {
  const auto value = try_int(key, min, max);
  if (!value) refuse_missing(key);
  return *value;
}

double Fields::get_number(std::string_view key, NumberRange range) const {
  const auto value = try_number(key, range);
  if (!value) refuse_missing(key);
  return *value;
}

std::vector<std::string> Fields::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object_->items()) {
    if (!value.is_null()) keys.push_back(key);
  }
  return keys;
}

std::string Fields::describe(std::string_view key, const Json& value, std::string_view expected) const {
  return fmt::format("{}: field \"{}{}\" is {}, expected {}", origin_, path_, key, value_text(value),
                     expected);
}

void Fields::refuse(std::string_view key, const Json& value, std::string_view expected) const {
  throw_error(ErrorKind::kCorruptFile, "{}", describe(key, value, expected));
}

void Fields::refuse_unsupported(std::string_view key, std::string_view value,
                                std::string_view supported) const {
  throw_error(ErrorKind::kUnsupported, "{}: field \"{}{}\" is {}, supported: {}", origin_, path_, key,
              quote(value), supported);
}

void Fields::refuse_missing(std::string_view key) const {
  throw_error(ErrorKind::kCorruptFile, "{}: field \"{}{}\" is missing", origin_, path_, key);
}

int int_value(const Fields& fields, std::string_view key, const Json& value, int min, int max) {
  // A number above 2^63 would wrap to a negative one when it is read as signed.
  const bool wraps = value.is_number_unsigned() && value.get<std::uint64_t>() >> 63 != 0;
  const bool fits = value.is_number_integer() && !wraps && value.get<std::int64_t>() >= min &&
                    value.get<std::int64_t>() <= max;
  if (!fits) fields.refuse(key, value, fmt::format("an integer from {} to {}", min, max));
  return static_cast<int>(value.get<std::int64_t>());
}

}  // namespace quire
