// Expressions of the interpreter.
#include <algorithm>

#include "template/interpreter.h"
#include "template/operators.h"
#include "template/value_text.h"

namespace quire::jinja {

Value Interpreter::eval(const Expr& expr) {
  const Budget::Level level(budget_);
  budget_.charge_steps();
  Value value = std::visit([this](const auto& node) { return eval_node(node); }, expr.node);
  line_ = expr.line;  // of what happens next with the value
  return value;
}

Value Interpreter::eval_node(const Name& name) {
  if (const Value* value = scope_->find(name.id)) return *value;
  if (name.global) return native_method(name.name, name.global, Value());
  return make_undefined(fmt::format("\"{}\" is undefined", name.name));
}

Value Interpreter::eval_node(const ListExpr& list) {
  std::vector<Value> items;
  items.reserve(list.items.size());
  for (const ExprPtr& item : list.items) items.push_back(eval(*item));
  return make_list(std::move(items), budget_, list.is_tuple);
}

Value Interpreter::eval_node(const DictExpr& expr) {
  Dict dict;
  for (const auto& [key, value] : expr.entries) {
    Value evaluated_key = eval(*key);
    dict.set(std::move(evaluated_key), eval(*value), budget_);
  }
  return make_dict(std::move(dict), budget_);
}

Value Interpreter::eval_node(const AttributeExpr& member) {
  return attribute(eval(*member.object), member.name, runtime_);
}

Value Interpreter::eval_node(const ElementExpr& expr) {
  const Value object = eval(*expr.object);
  return element(object, eval(*expr.key), runtime_);
}

Value Interpreter::eval_node(const SliceExpr& expr) {
  const Value object = eval(*expr.object);
  const Value begin = eval_or_none(expr.begin), end = eval_or_none(expr.end), step = eval_or_none(expr.step);
  return slice(object, begin, end, step, runtime_);
}

void Interpreter::unpack_named(const Value& value, Args& args) {
  if (!value.dict()) fail("** needs a dict, got {}", type_name(value));
  budget_.charge_bytes(value.dict()->entries().size() * (sizeof(Value) + sizeof(std::string)));
  for (const auto& [key, member] : value.dict()->entries()) {
    const std::string& name = text_of(key, "**").bytes();
    const auto is_same = [&](const auto& named) { return named.first == name; };
    if (std::any_of(args.named.begin(), args.named.end(), is_same))
      fail("the argument \"{}\" is given twice", name);
    args.named.emplace_back(name, member);
  }
}

Args Interpreter::eval_args(const ArgumentExprs& exprs) {
  Args args;
  for (const ExprPtr& expr : exprs.positional) args.positional.push_back(eval(*expr));
  for (const auto& [name, expr] : exprs.named) args.named.emplace_back(name, eval(*expr));
  if (exprs.more_positional) {
    const ListPtr more = elements(eval(*exprs.more_positional), budget_);
    budget_.charge_bytes(more->items.size() * sizeof(Value));
    args.positional.insert(args.positional.end(), more->items.begin(), more->items.end());
  }
  if (exprs.more_named) unpack_named(eval(*exprs.more_named), args);
  return args;
}

Value Interpreter::eval_node(const CallExpr& expr) {
  const Value callee = eval(*expr.callee);
  return call(callee, eval_args(expr.args));
}

Value Interpreter::eval_node(const FilterExpr& expr) {
  const Value input = eval(*expr.input);
  if (!expr.filter) fail("unknown filter \"{}\"", expr.name);
  return expr.filter(input, eval_args(expr.args), runtime_);
}

Value Interpreter::eval_node(const TestExpr& expr) {
  const Value input = eval(*expr.input);
  if (!expr.test) fail("unknown test \"{}\"", expr.name);
  return Value(expr.test(input, eval_args(expr.args), runtime_));
}

Value Interpreter::eval_node(const UnaryExpr& unary) {
  const Value value = eval(*unary.operand);
  if (unary.op == UnaryOp::kNot) return Value(!is_true(value));
  if (unary.op == UnaryOp::kMinus) return negated(value);
  return value.is<double>() ? value : Value(integer_of(value, "+"));
}

// Sums of texts are the bread of chat templates: they grow one text instead of making one for each "+".
Value Interpreter::eval_node(const ChainExpr& chain) {
  Value value = eval(*chain.first);
  Text sum;
  bool is_summing = false;  // the value so far is `sum`, not `value`
  const auto settle = [&] {
    if (is_summing) value = make_text(std::exchange(sum, Text()), budget_);
    is_summing = false;
  };
  for (const auto& [op, expr] : chain.rest) {
    const Value operand = eval(*expr);
    if (op == BinaryOp::kAdd && operand.text() && (is_summing || value.text())) {
      if (!is_summing) sum = *value.text();
      is_summing = true;
      sum.append(*operand.text());
      budget_.check_text_size(sum.size());
      continue;
    }
    settle();
    value = apply(op, value, operand, budget_);
  }
  settle();
  return value;
}

Value Interpreter::eval_node(const ConcatExpr& concat) {
  Text text;
  for (const ExprPtr& part : concat.parts) {
    text.append(*to_text(eval(*part), budget_));
    budget_.check_text_size(text.size());
  }
  return make_text(std::move(text), budget_);
}

Value Interpreter::eval_node(const CompareExpr& expr) {
  Value left = eval(*expr.first);
  for (const auto& [op, operand] : expr.rest) {
    Value right = eval(*operand);
    if (!compare(op, left, right, budget_)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::eval_node(const LogicExpr& logic) {
  Value value;
  for (const ExprPtr& operand : logic.operands) {
    value = eval(*operand);
    if (is_true(value) != logic.is_and) break;
  }
  return value;
}

Value Interpreter::eval_node(const ConditionalExpr& conditional) {
  if (is_true(eval(*conditional.condition))) return eval(*conditional.then);
  if (conditional.otherwise) return eval(*conditional.otherwise);
  return make_undefined("an inline if without else was false");
}

}  // namespace quire::jinja
