// What stands behind "is".
#include <unicode/uchar.h>

#include <cmath>

#include "template/natives.h"
#include "template/operators.h"
#include "template/value_text.h"

namespace quire::jinja {
namespace {

// Tests without arguments.
template <bool (*check)(const Value&)>
bool plain(const Value& value, const Args& args, Runtime&) {
  bind(args, "a test", {});
  return check(value);
}

bool is_defined(const Value& value) { return !value.is<Undefined>(); }
bool is_undefined(const Value& value) { return value.is<Undefined>(); }
bool is_none(const Value& value) { return value.is<None>(); }
bool is_string(const Value& value) { return value.text() != nullptr; }
bool is_mapping(const Value& value) { return value.dict() != nullptr; }
// Undefined has a length and no elements, hence is one.
bool is_sequence(const Value& value) {
  return value.text() || value.list() || value.dict() || value.is<Undefined>();
}
bool is_integer(const Value& value) { return value.is<std::int64_t>(); }
bool is_float(const Value& value) { return value.is<double>(); }
bool is_boolean(const Value& value) { return value.is<bool>(); }
bool is_the_true(const Value& value) { return value.is<bool>() && *value.get<bool>(); }
bool is_the_false(const Value& value) { return value.is<bool>() && !*value.get<bool>(); }
bool is_callable(const Value& value) { return value.is<CallablePtr>(); }

template <CompareOp op>
bool compared(const Value& value, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "a test of order or equality", {"other"}, 1);
  return compare(op, value, *bound[0], runtime.budget);
}

template <std::int64_t rest>
bool has_parity(const Value& value, const Args& args, Runtime& runtime) {
  bind(args, "odd and even", {});
  const Value modulo = apply(BinaryOp::kModulo, value, Value(std::int64_t{2}), runtime.budget);
  return is_number(modulo) && as_double(modulo) == rest;
}

bool is_divisible(const Value& value, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "divisibleby", {"num"}, 1);
  return !is_true(apply(BinaryOp::kModulo, value, *bound[0], runtime.budget));
}

bool is_same(const Value& value, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "sameas", {"other"}, 1);
  return value.data().index() == bound[0]->data().index() && equal(value, *bound[0], runtime.budget);
}

// All cased characters are of this case, and there is one.
template <bool is_upper>
bool has_case(const Value& value, const Args& args, Runtime& runtime) {
  bind(args, "upper and lower", {});
  const TextPtr text = to_text(value, runtime.budget);
  bool has_cased = false;
  for (std::size_t at = 0; at < text->size(); at = next_char(text->bytes(), at)) {
    const std::int32_t c = code_point(text->bytes(), at);
    if (c < 0 || !u_hasBinaryProperty(c, UCHAR_CASED)) continue;
    if (!u_hasBinaryProperty(c, is_upper ? UCHAR_UPPERCASE : UCHAR_LOWERCASE)) return false;
    has_cased = true;
  }
  return has_cased;
}

bool is_filter(const Value& value, const Args& args, Runtime&) {
  bind(args, "filter", {});
  return find_filter(text_of(value, "the test \"filter\"").bytes()) != nullptr;
}

bool is_test(const Value& value, const Args& args, Runtime&) {
  bind(args, "test", {});
  return find_test(text_of(value, "the test \"test\"").bytes()) != nullptr;
}

}  // namespace

TestFunction find_test(std::string_view name) {
  static constexpr TestEntry kTests[] = {
      {"boolean", plain<is_boolean>},
      {"callable", plain<is_callable>},
      {"defined", plain<is_defined>},
      {"divisibleby", is_divisible},
      {"eq", compared<CompareOp::kEqual>},
      {"equalto", compared<CompareOp::kEqual>},
      {"even", has_parity<0>},
      {"false", plain<is_the_false>},
      {"filter", is_filter},
      {"float", plain<is_float>},
      {"ge", compared<CompareOp::kGreaterEqual>},
      {"greaterthan", compared<CompareOp::kGreater>},
      {"gt", compared<CompareOp::kGreater>},
      {"in", compared<CompareOp::kIn>},
      {"integer", plain<is_integer>},
      {"iterable", plain<is_sequence>},
      {"le", compared<CompareOp::kLessEqual>},
      {"lessthan", compared<CompareOp::kLess>},
      {"lower", has_case<false>},
      {"lt", compared<CompareOp::kLess>},
      {"mapping", plain<is_mapping>},
      {"ne", compared<CompareOp::kNotEqual>},
      {"none", plain<is_none>},
      {"number", plain<is_number>},
      {"odd", has_parity<1>},
      {"sameas", is_same},
      {"sequence", plain<is_sequence>},
      {"string", plain<is_string>},
      {"test", is_test},
      {"true", plain<is_the_true>},
      {"undefined", plain<is_undefined>},
      {"upper", has_case<true>},
  };
  for (const TestEntry& test : kTests) {
    if (test.name == name) return test.call;
  }
  return nullptr;
}

}  // namespace quire::jinja
