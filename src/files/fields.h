// Typed reading of one JSON object. Every refusal names file, field, value and what was expected. A field
// that is null counts as absent, as in the configuration files of Hugging Face models.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace quire {

struct NumberRange {  // closed
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
};

class Fields {
 public:
  // `object` must outlive the reader. `path` is put before field names: "rope_scaling." for a nested object.
  // Throws Error{kCorruptFile} when `object` is no JSON object.
  Fields(const Json& object, std::string origin, std::string path = "");

  const Json* find(std::string_view key) const;  // null when absent
  bool has(std::string_view key) const { return find(key) != nullptr; }
  bool mentions(std::string_view key) const { return object_->contains(key); }  // null too

  // Absent gives nullopt; a wrong type or a value outside [min, max] throws Error{kCorruptFile}.
  std::optional<int> try_int(std::string_view key, int min, int max) const;
  std::optional<double> try_number(std::string_view key, NumberRange range) const;
  std::optional<bool> try_bool(std::string_view key) const;
  std::optional<std::string> try_string(std::string_view key) const;
  std::optional<Fields> try_object(std::string_view key) const;

  int get_int(std::string_view key, int min, int max) const;  // absent throws too
  double get_number(std::string_view key, NumberRange range) const;

  std::vector<std::string> keys() const;  // with a value, sorted

  // The message of `refuse`: file, field, value and what was expected.
  std::string describe(std::string_view key, const Json& value, std::string_view expected) const;
  // Throws: `value` of field `key` is not `expected`.
  [[noreturn]] void refuse(std::string_view key, const Json& value, std::string_view expected) const;
  [[noreturn]] void refuse_unsupported(std::string_view key, std::string_view value,
                                       std::string_view supported) const;
  [[noreturn]] void refuse_missing(std::string_view key) const;

  const std::string& origin() const { return origin_; }

 private:
  const Json* object_;
  std::string origin_;
  std::string path_;
};

// One integer of a field, or of a list in it.
int int_value(const Fields& fields, std::string_view key, const Json& value, int min, int max);

}  // namespace quire
