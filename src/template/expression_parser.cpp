#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "template/ast_walk.h"
#include "template/parser.h"

namespace quire::jinja {
namespace {

constexpr int kMaxDepth = 200;

int depth_of_operands(const Expr::Node& node) {
  int depth = 0;
  const auto visit = [&depth](const ExprPtr& operand) {
    if (operand) depth = std::max(depth, operand->depth);
  };
  std::visit(OperandVisitor<decltype(visit)>{visit}, node);
  return depth;
}

}  // namespace

ExprPtr ExpressionParser::make(int line, Expr::Node node) const {
  const int depth = 1 + depth_of_operands(node);
  if (depth > kMaxDepth)
    throw_syntax_error(line, fmt::format("an expression nests deeper than {} levels", kMaxDepth));
  return std::make_unique<Expr>(Expr{std::move(node), line, depth});
}

ExprPtr ExpressionParser::parse_tuple(bool with_conditional, bool is_in_parentheses) {
  const int line = current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  const auto is_end = [this] {
    const TokenKind kind = current().kind;
    return kind == TokenKind::kPrintEnd || kind == TokenKind::kBlockEnd || current().is_operator(")") ||
           current().is_name("recursive");
  };
  while (!is_end()) {
    items.push_back(with_conditional ? parse_expression() : parse_or());
    if (!skip_operator(",")) break;
    is_tuple = true;
  }
  if (is_tuple || (items.empty() && is_in_parentheses)) return make(line, ListExpr{std::move(items), true});
  if (items.empty()) fail_at_current("an expression");
  return std::move(items[0]);
}

ExprPtr ExpressionParser::parse_conditional() {
  const Nest nest(*this);
  const std::size_t num_unknown = unknown_natives_.size();
  ExprPtr value = parse_or();
  while (current().is_name("if")) {
    const int line = take().line;
    ExprPtr condition = parse_or();
    ExprPtr otherwise = skip_name("else") ? parse_conditional() : nullptr;
    unknown_natives_.resize(num_unknown);
    value = make(line, ConditionalExpr{std::move(value), std::move(condition), std::move(otherwise)});
  }
  return value;
}

ExprPtr ExpressionParser::parse_logic(Rule operand, bool is_and) {
  const int line = current().line;
  ExprPtr first = (this->*operand)();
  if (!current().is_name(is_and ? "and" : "or")) return first;
  LogicExpr logic{is_and, {}};
  logic.operands.push_back(std::move(first));
  while (skip_name(is_and ? "and" : "or")) logic.operands.push_back((this->*operand)());
  return make(line, std::move(logic));
}

ExprPtr ExpressionParser::parse_or() { return parse_logic(&ExpressionParser::parse_and, false); }
ExprPtr ExpressionParser::parse_and() { return parse_logic(&ExpressionParser::parse_not, true); }

ExprPtr ExpressionParser::parse_not() {
  const Nest nest(*this);
  if (!current().is_name("not")) return parse_compare();
  const int line = take().line;
  return make(line, UnaryExpr{UnaryOp::kNot, parse_not()});
}

bool ExpressionParser::take_compare_operator(CompareOp& op) {
  static constexpr std::pair<std::string_view, CompareOp> kSpellings[] = {
      {"==", CompareOp::kEqual},     {"!=", CompareOp::kNotEqual}, {"<", CompareOp::kLess},
      {"<=", CompareOp::kLessEqual}, {">", CompareOp::kGreater},   {">=", CompareOp::kGreaterEqual}};
  for (const auto& [spelling, meaning] : kSpellings) {
    if (!skip_operator(spelling)) continue;
    op = meaning;
    return true;
  }
  op = CompareOp::kIn;
  if (skip_name("in")) return true;
  if (!current().is_name("not") || !following().is_name("in")) return false;
  take();
  take();
  op = CompareOp::kNotIn;
  return true;
}

ExprPtr ExpressionParser::parse_compare() {
  const int line = current().line;
  ExprPtr first = parse_sum();
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
  CompareOp op;
  while (take_compare_operator(op)) rest.emplace_back(op, parse_sum());
  return rest.empty() ? std::move(first) : make(line, CompareExpr{std::move(first), std::move(rest)});
}

ExprPtr ExpressionParser::parse_chain(
    Rule operand, std::initializer_list<std::pair<std::string_view, BinaryOp>> operators) {
  const int line = current().line;
  ExprPtr first = (this->*operand)();
  std::vector<std::pair<BinaryOp, ExprPtr>> rest;
  const auto is_next = [this](const auto& entry) { return current().is_operator(entry.first); };
  for (;;) {
    const auto* entry = std::find_if(operators.begin(), operators.end(), is_next);
    if (entry == operators.end()) break;
    take();
    rest.emplace_back(entry->second, (this->*operand)());
  }
  return rest.empty() ? std::move(first) : make(line, ChainExpr{std::move(first), std::move(rest)});
}

ExprPtr ExpressionParser::parse_sum() {
  return parse_chain(&ExpressionParser::parse_concat, {{"+", BinaryOp::kAdd}, {"-", BinaryOp::kSubtract}});
}

// Binds tighter than + and -, as in Jinja.
ExprPtr ExpressionParser::parse_concat() {
  const int line = current().line;
  ExprPtr first = parse_product();
  if (!current().is_operator("~")) return first;
  ConcatExpr concat;
  concat.parts.push_back(std::move(first));
  while (skip_operator("~")) concat.parts.push_back(parse_product());
  return make(line, std::move(concat));
}

ExprPtr ExpressionParser::parse_product() {
  return parse_chain(&ExpressionParser::parse_power, {{"*", BinaryOp::kMultiply},
                                                      {"/", BinaryOp::kDivide},
                                                      {"//", BinaryOp::kFloorDivide},
                                                      {"%", BinaryOp::kModulo}});
}

ExprPtr ExpressionParser::parse_power() {
  return parse_chain(&ExpressionParser::parse_filtered_unary, {{"**", BinaryOp::kPower}});
}

ExprPtr ExpressionParser::parse_unary(bool with_filters) {
  const Nest nest(*this);
  const int line = current().line;
  ExprPtr value;
  if (skip_operator("-")) {
    value = make(line, UnaryExpr{UnaryOp::kMinus, parse_unary(false)});
  } else if (skip_operator("+")) {
    value = make(line, UnaryExpr{UnaryOp::kPlus, parse_unary(false)});
  } else {
    value = parse_primary();
  }
  value = parse_postfix(std::move(value));
  return with_filters ? parse_filters(std::move(value)) : std::move(value);
}

ExprPtr ExpressionParser::parse_primary() {
  const Token& token = current();
  const int line = token.line;
  switch (token.kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString: {
      std::string text;
      while (current().kind == TokenKind::kString) text += take().text;
      return make(line, Literal{Value(std::make_shared<const Text>(std::move(text)))});
    }
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return parse_number();
    default:
      break;
  }
  if (token.is_operator("[")) return parse_list();
  if (token.is_operator("{")) return parse_dict();
  if (!skip_operator("(")) fail_at_current("an expression");
  ExprPtr value = parse_tuple(true, true);
  expect_operator(")");
  return value;
}

ExprPtr ExpressionParser::parse_name() {
  const int line = current().line;
  const std::string name = take().text;
  if (name == "true" || name == "True") return make(line, Literal{Value(true)});
  if (name == "false" || name == "False") return make(line, Literal{Value(false)});
  if (name == "none" || name == "None") return make(line, Literal{Value(None{})});
  if (!open_macros_.empty()) {
    MacroNode& macro = *open_macros_.back();
    macro.uses_varargs |= name == "varargs";
    macro.uses_kwargs |= name == "kwargs";
    macro.uses_caller |= name == "caller";
  }
  return make(line, Name{id_of(name), name, find_global(name)});
}

ExprPtr ExpressionParser::parse_number() {
  const Token token = take();
  const char* const end = token.text.data() + token.text.size();
  if (token.kind == TokenKind::kFloat) {
    double value = 0;
    const auto parsed = std::from_chars(token.text.data(), end, value);
    if (parsed.ptr != end) throw_syntax_error(token.line, token.text);
    if (parsed.ec == std::errc::result_out_of_range)  // as Python reads it: infinity, or nothing
      value = std::strtod(std::string(token.text).c_str(), nullptr);
    return make(token.line, Literal{Value(value)});
  }
  std::int64_t value = 0;
  const std::string_view text = token.text;
  const char letter = text.size() > 1 ? static_cast<char>(text[1] | 0x20) : '0';
  const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
  const auto parsed = std::from_chars(text.data() + (base == 10 ? 0 : 2), end, value, base);
  if (parsed.ec == std::errc::result_out_of_range) {
    throw_error(ErrorKind::kUnsupported, "chat template, line {}: the number {} has more than 64 bits",
                token.line, text);
  }
  if (parsed.ptr != end || parsed.ec != std::errc()) {
    throw_syntax_error(token.line, fmt::format("\"{}\" is no number", text));
  }
  return make(token.line, Literal{Value(value)});
}

ExprPtr ExpressionParser::parse_list() {
  const int line = take().line;
  ListExpr list{{}, false};
  while (!skip_operator("]")) {
    if (!list.items.empty()) {
      expect_operator(",");
      if (skip_operator("]")) break;
    }
    list.items.push_back(parse_expression());
  }
  return make(line, std::move(list));
}

ExprPtr ExpressionParser::parse_dict() {
  const int line = take().line;
  DictExpr dict;
  while (!skip_operator("}")) {
    if (!dict.entries.empty()) {
      expect_operator(",");
      if (skip_operator("}")) break;
    }
    ExprPtr key = parse_expression();
    expect_operator(":");
    dict.entries.emplace_back(std::move(key), parse_expression());
  }
  return make(line, std::move(dict));
}

ExprPtr ExpressionParser::parse_postfix(ExprPtr object) {
  for (;;) {
    const int line = current().line;
    if (current().is_operator(".")) {
      object = parse_member(std::move(object));
    } else if (current().is_operator("[")) {
      object = parse_subscript(std::move(object));
    } else if (current().is_operator("(")) {
      ArgumentExprs args = parse_arguments();
      object = make(line, CallExpr{std::move(object), std::move(args)});
    } else {
      return object;
    }
  }
}

ExprPtr ExpressionParser::parse_member(ExprPtr object) {
  const int line = take().line;
  if (current().kind != TokenKind::kInteger)
    return make(line, AttributeExpr{std::move(object), expect_name()});
  ExprPtr index = parse_number();
  return make(line, ElementExpr{std::move(object), std::move(index)});
}

ExprPtr ExpressionParser::parse_subscript(ExprPtr object) {
  const int line = take().line;
  const auto ends_bound = [this] { return current().is_operator(":") || current().is_operator("]"); };
  ExprPtr begin = ends_bound() ? nullptr : parse_expression();
  if (begin && current().is_operator(",")) fail_unsupported("an index of several values");
  if (!skip_operator(":")) {
    if (!begin) fail_at_current("an index");
    expect_operator("]");
    return make(line, ElementExpr{std::move(object), std::move(begin)});
  }
  ExprPtr end = ends_bound() ? nullptr : parse_expression();
  ExprPtr step = skip_operator(":") && !ends_bound() ? parse_expression() : nullptr;
  expect_operator("]");
  return make(line, SliceExpr{std::move(object), std::move(begin), std::move(end), std::move(step)});
}

// Where the list or dict behind the coming * or ** goes; null if there is none.
ExprPtr* ExpressionParser::unpacked(ArgumentExprs& args) {
  if (!current().is_operator("*") && !current().is_operator("**")) return nullptr;
  ExprPtr& more = current().is_operator("*") ? args.more_positional : args.more_named;
  if (more || args.more_named) fail_at_current("no more unpacked arguments");
  take();
  return &more;
}

ArgumentExprs ExpressionParser::parse_arguments() {
  expect_operator("(");
  ArgumentExprs args;
  bool is_first = true;
  while (!skip_operator(")")) {
    if (!is_first) {
      expect_operator(",");
      if (skip_operator(")")) break;
    }
    is_first = false;
    if (ExprPtr* more = unpacked(args)) {
      *more = parse_expression();
    } else if (current().kind == TokenKind::kName && following().is_operator("=")) {
      if (args.more_named) fail_at_current("no argument behind **");
      std::string name = take().text;
      take();
      args.named.emplace_back(std::move(name), parse_expression());
    } else {
      if (!args.named.empty() || args.more_positional || args.more_named) fail_at_current("a named argument");
      args.positional.push_back(parse_expression());
    }
  }
  return args;
}

FilterExpr ExpressionParser::parse_filter_call(ExprPtr input) {
  const int line = current().line;
  const std::string name = expect_name();
  const Native filter = find_filter(name);
  if (!filter)
    unknown_natives_.push_back(fmt::format("chat template, line {}: unknown filter \"{}\"", line, name));
  ArgumentExprs args;
  if (current().is_operator("(")) args = parse_arguments();
  return {std::move(input), name, filter, std::move(args)};
}

ExprPtr ExpressionParser::parse_filters(ExprPtr input) {
  for (;;) {
    const int line = current().line;
    if (skip_operator("|")) {
      input = make(line, parse_filter_call(std::move(input)));
    } else if (current().is_name("is")) {
      input = parse_test(std::move(input));
    } else if (current().is_operator("(")) {
      ArgumentExprs args = parse_arguments();
      input = make(line, CallExpr{std::move(input), std::move(args)});
    } else {
      return input;
    }
  }
}

ExprPtr ExpressionParser::parse_test(ExprPtr input) {
  const int line = take().line;
  const bool is_negated = skip_name("not");
  const std::string name = expect_name();
  const TestFunction test = find_test(name);
  if (!test)
    unknown_natives_.push_back(fmt::format("chat template, line {}: unknown test \"{}\"", line, name));
  ArgumentExprs args;
  const Token& next = current();
  if (next.is_name("is")) throw_syntax_error(next.line, "a test of a test needs parentheses");
  const bool is_word =
      next.kind == TokenKind::kName && !next.is_name("else") && !next.is_name("or") && !next.is_name("and");
  if (next.is_operator("(")) {
    args = parse_arguments();
  } else if (is_word || next.kind == TokenKind::kString || next.kind == TokenKind::kInteger ||
             next.kind == TokenKind::kFloat || next.is_operator("[") || next.is_operator("{")) {
    args.positional.push_back(parse_postfix(parse_primary()));
  }
  ExprPtr result = make(line, TestExpr{std::move(input), name, test, std::move(args)});
  return is_negated ? make(line, UnaryExpr{UnaryOp::kNot, std::move(result)}) : std::move(result);
}

}  // namespace quire::jinja
