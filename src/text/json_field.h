// A value inside a JSON file that knows where it stands, so that every refusal names file, field and value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace quire {

// Refers to the parsed file and its name; neither is owned.
class JsonField {
 public:
  JsonField(const Json& value, const std::string& file, std::string path)
      : value_(&value), file_(&file), path_(std::move(path)) {}

  const Json& json() const { return *value_; }
  std::string where() const { return *file_ + ": " + path_; }

  // A member of an object. `at` throws when it is missing; `find` gives nothing when it is missing or null.
  JsonField at(const std::string& key) const;
  std::optional<JsonField> find(const std::string& key) const;

  // The member `key`, with `value`, that a loop over as_object() has reached.
  JsonField member(const std::string& key, const Json& value) const;

  // The value as a type; each throws when it is of another one. `as_char` wants a string of one character.
  std::size_t num_elements() const;  // of an array
  JsonField element(std::size_t i) const;
  const Json& as_object() const;
  const std::string& as_string() const;
  bool as_bool() const;
  std::int64_t as_int(std::int64_t min, std::int64_t max) const;
  char32_t as_char() const;

  // Throw Error{kCorruptFile} and Error{kUnsupported} that say file, field, value and `problem`.
  [[noreturn]] void corrupt(const std::string& problem) const;
  [[noreturn]] void unsupported(const std::string& problem) const;

 private:
  std::string describe() const;

  const Json* value_;
  const std::string* file_;
  std::string path_;
};

}  // namespace quire
