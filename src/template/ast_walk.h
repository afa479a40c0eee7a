// Visits the operands of an expression.
#pragma once

#include <utility>
#include <variant>
#include <vector>

#include "template/ast.h"

namespace quire::jinja {

template <class Visit>
struct OperandVisitor {
  Visit visit;

  void operator()(const Literal&) const {}
  void operator()(const Name&) const {}
  void operator()(const ListExpr& e) const { all(e.items); }
  void operator()(const DictExpr& e) const {
    for (const auto& [key, value] : e.entries) visit(key), visit(value);
  }
  void operator()(const AttributeExpr& e) const { visit(e.object); }
  void operator()(const ElementExpr& e) const { visit(e.object), visit(e.key); }
  void operator()(const SliceExpr& e) const { visit(e.object), visit(e.begin), visit(e.end), visit(e.step); }
  void operator()(const CallExpr& e) const { visit(e.callee), arguments(e.args); }
  void operator()(const FilterExpr& e) const { visit(e.input), arguments(e.args); }
  void operator()(const TestExpr& e) const { visit(e.input), arguments(e.args); }
  void operator()(const UnaryExpr& e) const { visit(e.operand); }
  void operator()(const ChainExpr& e) const { visit(e.first), rest(e.rest); }
  void operator()(const ConcatExpr& e) const { all(e.parts); }
  void operator()(const CompareExpr& e) const { visit(e.first), rest(e.rest); }
  void operator()(const LogicExpr& e) const { all(e.operands); }
  void operator()(const ConditionalExpr& e) const { visit(e.then), visit(e.condition), visit(e.otherwise); }

  void all(const std::vector<ExprPtr>& operands) const {
    for (const ExprPtr& operand : operands) visit(operand);
  }
  void arguments(const ArgumentExprs& args) const {
    all(args.positional);
    for (const auto& [name, arg] : args.named) visit(arg);
    visit(args.more_positional), visit(args.more_named);
  }
  template <class Op>
  void rest(const std::vector<std::pair<Op, ExprPtr>>& operands) const {
    for (const auto& [op, operand] : operands) visit(operand);
  }
};

// Calls `visit(const ExprPtr&)` for each operand, absent ones (null) included.
template <class Visit>
void for_each_operand(const Expr& expr, Visit visit) {
  std::visit(OperandVisitor<Visit>{visit}, expr.node);
}

}  // namespace quire::jinja
