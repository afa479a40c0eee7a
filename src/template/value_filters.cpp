// Filters of single values: defaults, conversions, rounding.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "template/natives.h"
#include "template/operators.h"

namespace quire::jinja {
namespace {

Value default_filter(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "default", {"default_value", "boolean"});
  const bool is_missing = self.is<Undefined>() || (bool_or(bound[1], false) && !is_true(self));
  if (!is_missing) return self;
  return bound[0] ? *bound[0] : make_text("", runtime.budget);
}

std::string without_spaces(const Text& text) {
  const Range kept = trimmed(text.bytes());
  return text.bytes().substr(kept.begin, kept.end - kept.begin);
}

std::optional<double> parse_float(const Text& text) {
  std::string digits = without_spaces(text);
  if (digits.starts_with("+")) digits.erase(0, 1);
  double value = 0;
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, value);
  return parsed.ptr == end && parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> parse_int(const Text& text, int base) {
  std::string digits = without_spaces(text);
  const bool is_negative = digits.starts_with("-");
  if (is_negative || digits.starts_with("+")) digits.erase(0, 1);
  const std::string prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : "";
  if (!prefix.empty() && digits.size() > 2 && digits[0] == '0' && (digits[1] | 0x20) == prefix[1])
    digits.erase(0, 2);
  if (digits.starts_with("-")) return std::nullopt;
  std::int64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, value, base);
  if (parsed.ptr != end || parsed.ec != std::errc()) return std::nullopt;
  return is_negative ? -value : value;
}

std::optional<std::int64_t> truncated(double value) {
  if (!(std::abs(value) < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

Value int_filter(const Value& self, const Args& args, Runtime&) {
  const Bound bound = bind(args, "int", {"default", "base"});
  const std::int64_t base = int_or(bound[1], "int", 10);
  if (base < 2 || base > 36) fail("int takes bases from 2 to 36, got {}", base);
  if (const auto* undefined = self.get<Undefined>()) fail_undefined(*undefined);
  std::optional<std::int64_t> value;
  if (const Text* text = self.text()) {
    value = parse_int(*text, static_cast<int>(base));
    const auto number = value ? std::nullopt : parse_float(*text);
    if (number) value = truncated(*number);
  } else if (is_number(self)) {
    value = self.is<double>() ? truncated(*self.get<double>()) : integer_of(self, "int");
  }
  if (value) return Value(*value);
  return bound[0] ? *bound[0] : Value(std::int64_t{0});
}

Value float_filter(const Value& self, const Args& args, Runtime&) {
  const Bound bound = bind(args, "float", {"default"});
  if (const auto* undefined = self.get<Undefined>()) fail_undefined(*undefined);
  if (is_number(self)) return Value(as_double(self));
  const auto value = self.text() ? parse_float(*self.text()) : std::nullopt;
  if (value) return Value(*value);
  return bound[0] ? *bound[0] : Value(0.0);
}

double number_of(const Value& value, std::string_view what) {
  if (const auto* undefined = value.get<Undefined>()) fail_undefined(*undefined);
  if (!is_number(value)) fail("{} needs a number, got {}", what, type_name(value));
  return as_double(value);
}

// To the nearest decimal of the exact binary value, halves to even, as Python's round().
double rounded(double value, int precision) {
  if (precision < 0) {
    const double unit = std::pow(10.0, -precision);
    return std::nearbyint(value / unit) * unit;
  }
  return std::strtod(fmt::format("{:.{}f}", value, precision).c_str(), nullptr);
}

// As Python's round() of an integer to 10^num_digits, halves to even. Exact for all 64 bits.
Value rounded_integer(std::int64_t value, std::int64_t num_digits) {
  if (num_digits > 19) return Value(std::int64_t{0});
  unsigned __int128 unit = 1;
  for (std::int64_t i = 0; i < num_digits; ++i) unit *= 10;
  const bool is_negative = value < 0;
  const unsigned __int128 size =
      is_negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  unsigned __int128 quotient = size / unit;
  const unsigned __int128 twice_rest = size % unit * 2;
  if (twice_rest > unit || (twice_rest == unit && quotient % 2 == 1)) ++quotient;
  const unsigned __int128 result = quotient * unit;
  if (result > static_cast<unsigned __int128>(INT64_MAX))
    fail("round: {} leaves the range of 64 bits", value);
  return Value(is_negative ? -static_cast<std::int64_t>(result) : static_cast<std::int64_t>(result));
}

Value round_filter(const Value& self, const Args& args, Runtime&) {
  const Bound bound = bind(args, "round", {"precision", "method"});
  const std::int64_t precision = int_or(bound[0], "round", 0);
  if (precision < -300 || precision > 300) fail("round takes -300 to 300 digits, got {}", precision);
  const std::string method = bound[1] ? text_of(*bound[1], "round").bytes() : "common";
  const double value = number_of(self, "round");
  if (method == "common") {
    if (!self.is<double>())
      return rounded_integer(integer_of(self, "round"), std::max<std::int64_t>(0, -precision));
    if (!std::isfinite(value)) return self;
    return Value(rounded(value, static_cast<int>(precision)));
  }
  if (method != "ceil" && method != "floor") fail("round knows common, ceil and floor, not \"{}\"", method);
  const double unit = std::pow(10.0, static_cast<double>(precision));
  return Value((method == "ceil" ? std::ceil(value * unit) : std::floor(value * unit)) / unit);
}

Value abs_filter(const Value& self, const Args& args, Runtime&) {
  bind(args, "abs", {});
  const double value = number_of(self, "abs");
  if (self.is<double>()) return Value(std::abs(value));
  return value < 0 ? negated(self) : Value(integer_of(self, "abs"));
}

Value sum(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "sum", {"attribute", "start"});
  Value total = bound[1] ? *bound[1] : Value(std::int64_t{0});
  const ListPtr all = elements(self, runtime.budget);
  for (const Value& item : all->items) {
    const bool of_member = bound[0] && !bound[0]->is<None>();
    total =
        apply(BinaryOp::kAdd, total, of_member ? element(item, *bound[0], runtime) : item, runtime.budget);
  }
  return total;
}

Value attr(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "attr", {"name"}, 1);
  const std::string& name = text_of(*bound[0], "attr").bytes();
  if (self.dict() && !find_dict_method(name)) return make_undefined("a dict has no member of this name");
  return attribute(self, name, runtime);
}

}  // namespace

std::span<const NativeEntry> value_filters() {
  static constexpr NativeEntry kFilters[] = {
      {"abs", abs_filter},     {"attr", attr},      {"d", default_filter},   {"default", default_filter},
      {"float", float_filter}, {"int", int_filter}, {"round", round_filter}, {"sum", sum},
  };
  return kFilters;
}

Native find_filter(std::string_view name) {
  for (const auto filters : {text_filters(), list_filters(), value_filters()}) {
    for (const NativeEntry& filter : filters) {
      if (filter.name == name) return filter.call;
    }
  }
  return nullptr;
}

}  // namespace quire::jinja
