// What templates can call: filters, tests, methods of texts, lists and dicts, and global functions.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "template/value.h"

namespace quire::jinja {

struct NativeEntry {
  std::string_view name;
  Native call;
};

using TestFunction = bool (*)(const Value& value, const Args& args, Runtime& runtime);
struct TestEntry {
  std::string_view name;
  TestFunction call;
};

// Null where the name is not known.
Native find_filter(std::string_view name);
TestFunction find_test(std::string_view name);
Native find_global(std::string_view name);
Native find_text_method(std::string_view name);
Native find_list_method(std::string_view name);
Native find_dict_method(std::string_view name);

// The tables behind find_filter, a file each.
std::span<const NativeEntry> text_filters();
std::span<const NativeEntry> list_filters();
std::span<const NativeEntry> value_filters();

// value.name and value["name"]: methods, members of dicts, namespaces and loops. Undefined where there is
// none.
Value attribute(const Value& value, std::string_view name, Runtime& runtime);
// value[key].
Value element(const Value& value, const Value& key, Runtime& runtime);
// value[begin:end:step]; absent bounds are none.
Value slice(const Value& value, const Value& begin, const Value& end, const Value& step, Runtime& runtime);

Value native_method(std::string_view name, Native native, const Value& self);

// --- Arguments of natives ---
using Bound = std::vector<std::optional<Value>>;
// Arguments in the order of `names`; the first `num_required` must be there. Throws for what is missing,
// unknown or given twice, naming `what`.
Bound bind(const Args& args, std::string_view what, std::initializer_list<std::string_view> names,
           std::size_t num_required = 0);
std::int64_t int_or(const std::optional<Value>& value, std::string_view what, std::int64_t otherwise);
bool bool_or(const std::optional<Value>& value, bool otherwise);
// Throws unless the value is a text.
const Text& text_of(const Value& value, std::string_view what);
// The integer of an int or a boolean; throws for the rest.
std::int64_t integer_of(const Value& value, std::string_view what);

// %-formatting: `arguments` is one value or a tuple of them.
Value format_percent(const Text& format, const Value& arguments, Budget& budget);
// Of a time in seconds since 1970 (UTC), as strftime in the C locale.
std::string format_time(std::string_view format, std::int64_t time_s);

}  // namespace quire::jinja
