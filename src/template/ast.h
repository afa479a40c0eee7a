// The tree of a template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "template/natives.h"
#include "template/value.h"

namespace quire::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;
using NameId = std::int32_t;  // of a variable; equal names have equal ids

struct ArgumentExprs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr more_positional, more_named;  // *list and **dict, may be null
};

// --- Expressions ---
struct Literal {
  Value value;
};
struct Name {
  NameId id;
  std::string name;
  Native global;  // what the name means where no variable has it; null = nothing
};
struct ListExpr {
  std::vector<ExprPtr> items;
  bool is_tuple;
};
struct DictExpr {
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
};
struct AttributeExpr {
  ExprPtr object;
  std::string name;
};
struct ElementExpr {
  ExprPtr object, key;
};
struct SliceExpr {
  ExprPtr object, begin, end, step;  // absent bounds are null
};
struct CallExpr {
  ExprPtr callee;
  ArgumentExprs args;
};
struct FilterExpr {
  ExprPtr input;  // null in {% filter %} and {% set %} blocks, where it is the block's text
  std::string name;
  Native filter;  // null: nobody knows the name, and the filter fails when it runs
  ArgumentExprs args;
};
struct TestExpr {
  ExprPtr input;
  std::string name;
  TestFunction test;  // null: as for filters
  ArgumentExprs args;
};
enum class UnaryOp { kNot, kMinus, kPlus };
struct UnaryExpr {
  UnaryOp op;
  ExprPtr operand;
};
enum class BinaryOp { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
// first op operand op operand ..., from left to right.
struct ChainExpr {
  ExprPtr first;
  std::vector<std::pair<BinaryOp, ExprPtr>> rest;
};
struct ConcatExpr {  // ~
  std::vector<ExprPtr> parts;
};
enum class CompareOp { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };
// a < b < c means a < b and b < c.
struct CompareExpr {
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
};
struct LogicExpr {
  bool is_and;
  std::vector<ExprPtr> operands;
};
struct ConditionalExpr {
  ExprPtr then, condition, otherwise;  // otherwise may be null: undefined
};

struct Expr {
  using Node = std::variant<Literal, Name, ListExpr, DictExpr, AttributeExpr, ElementExpr, SliceExpr,
                            CallExpr, FilterExpr, TestExpr, UnaryExpr, ChainExpr, ConcatExpr, CompareExpr,
                            LogicExpr, ConditionalExpr>;
  Node node;
  int line;
  int depth;  // 1 + that of the deepest operand
};

// --- Statements ---
struct Statement;
using Body = std::vector<Statement>;

// What {% set %} and {% for %} assign to: a variable, a member of a namespace, or several of these.
struct Target {
  NameId id = 0;
  std::string name;
  std::string member;         // not empty: name.member
  std::vector<Target> parts;  // not empty: (a, b, ...)
};

// Parameters and body of a macro or a call block.
struct MacroNode {
  std::string name;
  std::vector<std::pair<NameId, std::string>> params;
  std::vector<ExprPtr> defaults;  // of the last parameters
  std::unique_ptr<Body> body;
  // Whether the body speaks of what only some macros take.
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
  NameId varargs_id = 0, kwargs_id = 0, caller_id = 0;
};

struct DataStatement {
  TextPtr text;
};
struct PrintStatement {
  ExprPtr value;
};
struct IfStatement {
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};
struct ForStatement {
  Target target;
  ExprPtr values, condition;  // condition may be null
  Body body, otherwise;
  NameId loop_id;
};
struct SetStatement {
  Target target;
  ExprPtr value;
};
// The text of the body, filtered (the first filter first), assigned or printed.
struct CaptureStatement {
  std::unique_ptr<Target> target;  // null: printed
  std::vector<FilterExpr> filters;
  Body body;
};
struct MacroStatement {
  NameId id;
  std::shared_ptr<const MacroNode> macro;
};
struct CallStatement {
  ExprPtr callee;
  ArgumentExprs args;
  std::shared_ptr<const MacroNode> caller;
};
// {% with %}, and {% generation %} without assignments.
struct ScopeStatement {
  std::vector<std::pair<Target, ExprPtr>> assignments;
  Body body;
};
struct BreakStatement {};
struct ContinueStatement {};

struct Statement {
  std::variant<DataStatement, PrintStatement, IfStatement, ForStatement, SetStatement, CaptureStatement,
               MacroStatement, CallStatement, ScopeStatement, BreakStatement, ContinueStatement>
      node;
  int line;
};

struct Ast {
  Body body;
  std::vector<std::string> names;  // by NameId
};

}  // namespace quire::jinja
