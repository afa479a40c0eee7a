#include "text/json_field.h"

#include "base/check.h"
#include "text/utf8.h"

namespace quire {

JsonField JsonField::at(const std::string& key) const {
  const Json& object = as_object();
  const auto member = object.find(key);
  if (member == object.end()) corrupt("\"" + key + "\" is missing");
  return this->member(key, *member);
}

JsonField JsonField::member(const std::string& key, const Json& value) const {
  return {value, *file_, path_.empty() ? key : path_ + "." + key};
}

std::optional<JsonField> JsonField::find(const std::string& key) const {
  const Json& object = as_object();
  const auto member = object.find(key);
  if (member == object.end() || member->is_null()) return std::nullopt;
  return at(key);
}

std::size_t JsonField::num_elements() const {
  if (!value_->is_array()) corrupt("must be an array");
  return value_->size();
}

JsonField JsonField::element(std::size_t i) const {
  return {(*value_)[i], *file_, fmt::format("{}[{}]", path_, i)};
}

const Json& JsonField::as_object() const {
  if (!value_->is_object()) corrupt("must be an object");
  return *value_;
}

const std::string& JsonField::as_string() const {
  if (!value_->is_string()) corrupt("must be a string");
  return value_->get_ref<const std::string&>();
}

bool JsonField::as_bool() const {
  if (!value_->is_boolean()) corrupt("must be true or false");
  return value_->get<bool>();
}

std::int64_t JsonField::as_int(std::int64_t min, std::int64_t max) const {
  const bool fits = value_->is_number_integer() &&
                    (!value_->is_number_unsigned() || value_->get<std::uint64_t>() <= INT64_MAX) &&
                    value_->get<std::int64_t>() >= min && value_->get<std::int64_t>() <= max;
  if (!fits) corrupt(fmt::format("must be an integer from {} to {}", min, max));
  return value_->get<std::int64_t>();
}

char32_t JsonField::as_char() const {
  const std::string& text = as_string();
  if (text.empty() || decode_utf8(text, 0).num_bytes != text.size())
    corrupt("must be a string of one character");
  return decode_utf8(text, 0).code_point;
}

void JsonField::corrupt(const std::string& problem) const {
  throw_error(ErrorKind::kCorruptFile, "{}: {}", describe(), problem);
}

void JsonField::unsupported(const std::string& problem) const {
  throw_error(ErrorKind::kUnsupported, "{}: {}", describe(), problem);
}

std::string JsonField::describe() const {
  constexpr std::size_t kMaxShown = 80;
  std::string name = path_.empty() ? *file_ : where();
  if (value_->is_object()) return name + " (an object)";
  if (value_->is_array()) return name + " (an array)";
  if (value_->is_string() && value_->get_ref<const std::string&>().size() > kMaxShown) {
    return fmt::format("{} (a string of {} bytes)", name, value_->get_ref<const std::string&>().size());
  }
  return name + " = " + value_->dump();
}

}  // namespace quire
