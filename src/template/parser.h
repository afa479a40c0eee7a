// Tokens to the tree of a template.
#pragma once

#include <functional>
#include <initializer_list>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "template/ast.h"
#include "template/lexer.h"

namespace quire::jinja {

// Throws Error{kCorruptFile} and Error{kUnsupported}.
Ast parse_template(std::string_view source);

// The tokens and what is known while walking over them; both parts of the parser share it.
class ParserBase {
 protected:
  explicit ParserBase(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& following() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool skip_operator(std::string_view spelling);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view spelling);
  std::string expect_name();
  [[noreturn]] void fail_at_current(std::string_view expected) const;
  [[noreturn]] void fail_unsupported(std::string_view what) const;

  NameId id_of(const std::string& name);

  // One level of nesting; throws when there are too many.
  class Nest {
   public:
    explicit Nest(ParserBase& parser);
    ~Nest() { --parser_.depth_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    ParserBase& parser_;
  };

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::vector<std::string> names_;
  std::unordered_map<std::string, NameId> ids_;
  std::vector<MacroNode*> open_macros_;  // innermost last
  // Filters and tests that nobody knows, where they would surely run. In a branch they fail only when they
  // do, as in Jinja.
  std::vector<std::string> unknown_natives_;
};

class ExpressionParser : protected ParserBase {
 protected:
  using ParserBase::ParserBase;

  ExprPtr parse_expression() { return parse_conditional(); }
  // One expression, or several with commas between, which make a tuple. `with_conditional` is off behind
  // {% for x in %}, whose "if" is its own.
  ExprPtr parse_tuple(bool with_conditional, bool is_in_parentheses = false);
  ArgumentExprs parse_arguments();
  ExprPtr* unpacked(ArgumentExprs& args);
  // name(arguments) of a filter, behind the bar.
  FilterExpr parse_filter_call(ExprPtr input);

  ExprPtr make(int line, Expr::Node node) const;

 private:
  using Rule = ExprPtr (ExpressionParser::*)();

  ExprPtr parse_conditional();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_logic(Rule operand, bool is_and);
  ExprPtr parse_not();
  ExprPtr parse_compare();
  bool take_compare_operator(CompareOp& op);
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_filtered_unary() { return parse_unary(true); }
  ExprPtr parse_chain(Rule operand, std::initializer_list<std::pair<std::string_view, BinaryOp>> operators);
  ExprPtr parse_unary(bool with_filters);
  ExprPtr parse_primary();
  ExprPtr parse_name();
  ExprPtr parse_number();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr object);
  ExprPtr parse_member(ExprPtr object);
  ExprPtr parse_subscript(ExprPtr object);
  ExprPtr parse_filters(ExprPtr input);
  ExprPtr parse_test(ExprPtr input);
};

}  // namespace quire::jinja
