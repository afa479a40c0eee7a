#include "template/operators.h"

#include <algorithm>
#include <cmath>

namespace quire::jinja {
namespace {

const char* spelling(BinaryOp op) {
  static constexpr const char* kSpellings[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSpellings[static_cast<int>(op)];
}

void check_defined(const Value& value) {
  if (const auto* undefined = value.get<Undefined>()) fail_undefined(*undefined);
}

[[noreturn]] void fail_overflow(BinaryOp op, std::int64_t a, std::int64_t b) {
  fail("{} {} {} does not fit in 64 bits", a, spelling(op), b);
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b == 0) fail("division by zero");
  if (b == -1) {
    std::int64_t result = 0;
    if (__builtin_sub_overflow(std::int64_t{0}, a, &result)) fail_overflow(BinaryOp::kFloorDivide, a, b);
    return result;
  }
  const std::int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::int64_t modulo(std::int64_t a, std::int64_t b) {
  if (b == 0) fail("division by zero");
  if (b == -1) return 0;
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("division by zero");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base >= -1 && base <= 1) return Value(base == -1 && exponent % 2 == 0 ? 1 : exponent == 0 ? 1 : base);
  std::int64_t result = 1;
  for (std::int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) fail_overflow(BinaryOp::kPower, base, exponent);
  }
  return Value(result);
}

Value apply_to_ints(BinaryOp op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflows = false;
  switch (op) {
    case BinaryOp::kAdd:
      overflows = __builtin_add_overflow(a, b, &result);
      break;
    case BinaryOp::kSubtract:
      overflows = __builtin_sub_overflow(a, b, &result);
      break;
    case BinaryOp::kMultiply:
      overflows = __builtin_mul_overflow(a, b, &result);
      break;
    case BinaryOp::kDivide:
      if (b == 0) fail("division by zero");
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOp::kFloorDivide:
      return Value(floor_divide(a, b));
    case BinaryOp::kModulo:
      return Value(modulo(a, b));
    case BinaryOp::kPower:
      return power(a, b);
  }
  if (overflows) fail_overflow(op, a, b);
  return Value(result);
}

Value apply_to_floats(BinaryOp op, double a, double b) {
  const bool divides = op == BinaryOp::kDivide || op == BinaryOp::kFloorDivide || op == BinaryOp::kModulo;
  if (divides && b == 0) fail("division by zero");
  switch (op) {
    case BinaryOp::kAdd:
      return Value(a + b);
    case BinaryOp::kSubtract:
      return Value(a - b);
    case BinaryOp::kMultiply:
      return Value(a * b);
    case BinaryOp::kDivide:
      return Value(a / b);
    case BinaryOp::kFloorDivide:
      return Value(std::floor(a / b));
    case BinaryOp::kModulo: {
      const double rest = std::fmod(a, b);
      return Value(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    }
    case BinaryOp::kPower:
      return Value(std::pow(a, b));
  }
  return Value();
}

Value repeated(const Value& value, std::int64_t count, Budget& budget) {
  count = std::max<std::int64_t>(count, 0);
  const auto charge = [&](std::size_t unit_bytes) {
    std::int64_t num_bytes = 0;
    if (__builtin_mul_overflow(static_cast<std::int64_t>(unit_bytes), count, &num_bytes))
      num_bytes = INT64_MAX;
    budget.charge_bytes(static_cast<std::size_t>(num_bytes));
  };
  if (const Text* text = value.text()) {
    charge(text->size());
    const std::size_t num_bytes = text->size() * static_cast<std::size_t>(count);
    Text out = text->cut(0, std::min(text->size(), num_bytes));
    while (out.size() < num_bytes) out.append(out.cut(0, std::min(out.size(), num_bytes - out.size())));
    return make_text(std::move(out), budget);
  }
  const List& list = *value.list();
  charge(list.items.size() * sizeof(Value));
  std::vector<Value> items;
  for (std::int64_t i = 0; i < count && !list.items.empty(); ++i) {
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return make_list(std::move(items), budget, list.is_tuple);
}

Value joined(const Value& a, const Value& b, Budget& budget) {
  if (a.text()) {
    budget.charge_bytes(a.text()->size() + b.text()->size());
    Text out = *a.text();
    out.append(*b.text());
    return make_text(std::move(out), budget);
  }
  budget.charge_bytes((a.list()->items.size() + b.list()->items.size()) * sizeof(Value));
  std::vector<Value> items = a.list()->items;
  items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
  return make_list(std::move(items), budget, a.list()->is_tuple);
}

}  // namespace

Value apply(BinaryOp op, const Value& a, const Value& b, Budget& budget) {
  check_defined(a);
  if (op == BinaryOp::kModulo && a.text()) return format_percent(*a.text(), b, budget);
  check_defined(b);
  if (is_number(a) && is_number(b)) {
    if (a.is<double>() || b.is<double>()) return apply_to_floats(op, as_double(a), as_double(b));
    return apply_to_ints(op, integer_of(a, spelling(op)), integer_of(b, spelling(op)));
  }
  const bool are_lists = a.list() && b.list() && a.list()->is_tuple == b.list()->is_tuple;
  if (op == BinaryOp::kAdd && ((a.text() && b.text()) || are_lists)) return joined(a, b, budget);
  const auto is_count = [](const Value& value) { return value.is<std::int64_t>() || value.is<bool>(); };
  if (op == BinaryOp::kMultiply) {
    if ((a.text() || a.list()) && is_count(b)) return repeated(a, integer_of(b, "*"), budget);
    if ((b.text() || b.list()) && is_count(a)) return repeated(b, integer_of(a, "*"), budget);
  }
  fail("{} {} {} has no meaning", type_name(a), spelling(op), type_name(b));
}

Value negated(const Value& number) {
  if (number.is<double>()) return Value(-*number.get<double>());
  std::int64_t result = 0;
  const std::int64_t value = integer_of(number, "-");
  if (__builtin_sub_overflow(std::int64_t{0}, value, &result)) fail("-({}) does not fit in 64 bits", value);
  return Value(result);
}

bool contains(const Value& container, const Value& value, Budget& budget) {
  if (const Text* text = container.text()) {
    if (!value.text()) fail("only a text can be in a text, got {}", type_name(value));
    budget.charge_steps(static_cast<std::int64_t>(text->size() / 256));
    return find_text(text->bytes(), value.text()->bytes(), 0) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) return dict->find(value, budget) != nullptr;
  const ListPtr items = elements(container, budget);
  return std::any_of(items->items.begin(), items->items.end(),
                     [&](const Value& item) { return equal(item, value, budget); });
}

bool compare(CompareOp op, const Value& a, const Value& b, Budget& budget) {
  switch (op) {
    case CompareOp::kEqual:
      return equal(a, b, budget);
    case CompareOp::kNotEqual:
      return !equal(a, b, budget);
    case CompareOp::kLess:
      return less(a, b, budget);
    case CompareOp::kGreater:
      return less(b, a, budget);
    case CompareOp::kLessEqual:
      return less(a, b, budget) || equal(a, b, budget);
    case CompareOp::kGreaterEqual:
      return less(b, a, budget) || equal(a, b, budget);
    case CompareOp::kIn:
      return contains(b, a, budget);
    case CompareOp::kNotIn:
      return !contains(b, a, budget);
  }
  return false;
}

}  // namespace quire::jinja
