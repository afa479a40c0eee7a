#include <algorithm>

#include "template/natives.h"

namespace quire::jinja {

Bound bind(const Args& args, std::string_view what, std::initializer_list<std::string_view> names,
           std::size_t num_required) {
  if (args.positional.size() > names.size()) {
    fail("{} takes {} arguments, got {}", what, names.size(), args.positional.size());
  }
  Bound bound(names.size());
  std::copy(args.positional.begin(), args.positional.end(), bound.begin());
  for (const auto& [name, value] : args.named) {
    const auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end()) fail("{} has no argument \"{}\"", what, name.substr(0, 80));
    std::optional<Value>& place = bound[static_cast<std::size_t>(known - names.begin())];
    if (place) fail("{} got its argument \"{}\" twice", what, name);
    place = value;
  }
  for (std::size_t i = 0; i < num_required; ++i) {
    if (!bound[i]) fail("{} needs its argument \"{}\"", what, *(names.begin() + i));
  }
  return bound;
}

std::int64_t integer_of(const Value& value, std::string_view what) {
  if (const auto* boolean = value.get<bool>()) return *boolean ? 1 : 0;
  if (const auto* integer = value.get<std::int64_t>()) return *integer;
  if (const auto* undefined = value.get<Undefined>()) fail_undefined(*undefined);
  fail("{} needs an integer, got {}", what, type_name(value));
}

std::int64_t int_or(const std::optional<Value>& value, std::string_view what, std::int64_t otherwise) {
  return value ? integer_of(*value, what) : otherwise;
}

bool bool_or(const std::optional<Value>& value, bool otherwise) {
  return value ? is_true(*value) : otherwise;
}

const Text& text_of(const Value& value, std::string_view what) {
  if (const auto* undefined = value.get<Undefined>()) fail_undefined(*undefined);
  if (!value.text()) fail("{} needs a text, got {}", what, type_name(value));
  return *value.text();
}

Value native_method(std::string_view name, Native native, const Value& self) {
  return Value(std::make_shared<const Callable>(Callable{std::string(name), native, self, nullptr}));
}

}  // namespace quire::jinja
