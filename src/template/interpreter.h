// Walks over the tree of a template and writes its text.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "template/ast.h"
#include "template/value.h"

namespace quire::jinja {

// Variables of a part of the template. Inner scopes see outer ones; assignments stay inside.
struct Scope {
  std::shared_ptr<Scope> parent;
  int depth;  // 1 + that of the parent
  std::vector<std::pair<NameId, Value>> variables;

  void set(NameId id, Value value);
  const Value* find(NameId id) const;  // here or further out
};
using ScopePtr = std::shared_ptr<Scope>;
// Throws when scopes nest too deep: macros that define macros could make a chain without an end.
ScopePtr make_scope(const ScopePtr& parent);

struct MacroClosure {
  std::shared_ptr<const MacroNode> node;
  ScopePtr scope;  // around the definition
};

class Interpreter {
 public:
  // `ast` and `runtime` must outlive the interpreter.
  Interpreter(const Ast& ast, Runtime& runtime) : ast_(ast), runtime_(runtime), budget_(runtime.budget) {}
  ~Interpreter();

  Text run(std::vector<std::pair<NameId, Value>> variables);
  // Where an error that `run` threw happened.
  int line() const { return line_; }

 private:
  enum class Flow { kOn, kBreak, kContinue };  // whether the loop around goes on

  Flow exec(const Body& body);
  Flow exec(const Statement& statement);
  Flow exec_node(const DataStatement& data);
  Flow exec_node(const PrintStatement& print);
  Flow exec_node(const IfStatement& branch);
  Flow exec_node(const ForStatement& loop);
  Flow exec_node(const SetStatement& set);
  Flow exec_node(const CaptureStatement& capture);
  Flow exec_node(const MacroStatement& macro);
  Flow exec_node(const CallStatement& call);
  Flow exec_node(const ScopeStatement& scope);
  Flow exec_node(const BreakStatement&) { return Flow::kBreak; }
  Flow exec_node(const ContinueStatement&) { return Flow::kContinue; }
  Flow exec_loop(const ForStatement& loop, const ListPtr& items);
  Flow exec_in_scope(const Body& body, ScopePtr scope);
  void assign(const Target& target, Value value);
  void print(const Text& text);

  Value eval(const Expr& expr);
  Value eval_node(const Literal& literal) { return literal.value; }
  Value eval_node(const Name& name);
  Value eval_node(const ListExpr& list);
  Value eval_node(const DictExpr& dict);
  Value eval_node(const AttributeExpr& member);
  Value eval_node(const ElementExpr& element);
  Value eval_node(const SliceExpr& slice);
  Value eval_node(const CallExpr& call);
  Value eval_node(const FilterExpr& filter);
  Value eval_node(const TestExpr& test);
  Value eval_node(const UnaryExpr& unary);
  Value eval_node(const ChainExpr& chain);
  Value eval_node(const ConcatExpr& concat);
  Value eval_node(const CompareExpr& compare);
  Value eval_node(const LogicExpr& logic);
  Value eval_node(const ConditionalExpr& conditional);
  Value eval_or_none(const ExprPtr& expr) { return expr ? eval(*expr) : Value(None{}); }
  Args eval_args(const ArgumentExprs& exprs);
  void unpack_named(const Value& value, Args& args);
  Value call(const Value& callee, Args args);
  Value call_macro(const MacroClosure& macro, Args args);
  void bind_macro_args(const MacroNode& macro, Args args, Scope& scope);
  void bind_rest(const MacroNode& macro, Args args, Scope& scope);
  Value make_macro(std::shared_ptr<const MacroNode> node);
  // The text that `write` prints.
  template <class Write>
  Text captured(Write write);

  const Ast& ast_;
  Runtime& runtime_;
  Budget& budget_;
  ScopePtr scope_;
  Text* out_ = nullptr;
  int line_ = 1;
  // Scopes that macros remember. They may hold those macros, and are emptied at the end.
  std::vector<ScopePtr> remembered_;
};

}  // namespace quire::jinja
