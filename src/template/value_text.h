// Values as text: as a template prints them, as Python writes them inside lists, and as JSON.
#pragma once

#include <optional>

#include "template/value.h"

namespace quire::jinja {

// What {{ value }} shows: text as it is, nothing for undefined, and Python's str() for the rest.
TextPtr to_text(const Value& value, Budget& budget);
// Python's repr().
Text to_repr(const Value& value, Budget& budget);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; absent: all on one line
  std::string item_separator = ", ", key_separator = ": ";
};
// As Python's json.dumps. Throws for values that JSON does not have.
Text to_json(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace quire::jinja
