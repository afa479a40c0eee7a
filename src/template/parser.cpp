#include "template/parser.h"

#include <algorithm>

#include "base/check.h"

namespace quire::jinja {
namespace {

constexpr int kMaxDepth = 200;

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kData:
      return "text outside of tags";
    default:
      return fmt::format("\"{}\"", token.text.substr(0, 80));
  }
}

}  // namespace

ParserBase::Nest::Nest(ParserBase& parser) : parser_(parser) {
  if (parser.depth_ >= kMaxDepth) {
    throw_syntax_error(parser.current().line, fmt::format("nests deeper than {} levels", kMaxDepth));
  }
  ++parser.depth_;
}

bool ParserBase::skip_operator(std::string_view spelling) {
  const bool is_next = current().is_operator(spelling);
  if (is_next) take();
  return is_next;
}

bool ParserBase::skip_name(std::string_view name) {
  const bool is_next = current().is_name(name);
  if (is_next) take();
  return is_next;
}

void ParserBase::expect_operator(std::string_view spelling) {
  if (!skip_operator(spelling)) fail_at_current(fmt::format("\"{}\"", spelling));
}

std::string ParserBase::expect_name() {
  if (current().kind != TokenKind::kName) fail_at_current("a name");
  return take().text;
}

void ParserBase::fail_at_current(std::string_view expected) const {
  throw_syntax_error(current().line, fmt::format("expected {}, found {}", expected, describe(current())));
}

void ParserBase::fail_unsupported(std::string_view what) const {
  throw_error(ErrorKind::kUnsupported, "chat template, line {}: {} is not supported", current().line, what);
}

NameId ParserBase::id_of(const std::string& name) {
  const auto [entry, is_new] = ids_.emplace(name, static_cast<NameId>(names_.size()));
  if (is_new) names_.push_back(name);
  return entry->second;
}

namespace {

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(tokenize(source)) {}

  Ast parse() {
    Body body = parse_body({});
    QUIRE_CHECK_KIND(kUnsupported, unknown_natives_.empty(), "{}", unknown_natives_.front());
    return {std::move(body), std::move(names_)};
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  // Statements up to a tag whose first word is one of `ends`; that word is the current token then. Without
  // `ends`, up to the end of the template.
  Body parse_body(Ends ends) {
    const Nest nest(*this);
    Body body;
    for (;;) {
      const Token& token = current();
      const int line = token.line;
      if (token.kind == TokenKind::kEnd) {
        if (ends.size() == 0) return body;
        fail_at_current(fmt::format("{{% {} %}}", *(ends.end() - 1)));
      }
      if (token.kind == TokenKind::kData) {
        body.push_back({DataStatement{std::make_shared<const Text>(take().text)}, line});
      } else if (token.kind == TokenKind::kPrintBegin) {
        take();
        body.push_back({PrintStatement{parse_tuple(true)}, line});
        if (current().kind != TokenKind::kPrintEnd) fail_at_current("}}");
        take();
      } else {
        take();
        if (std::any_of(ends.begin(), ends.end(), [this](auto end) { return current().is_name(end); }))
          return body;
        body.push_back(parse_statement());
        expect_block_end();
      }
    }
  }

  void expect_block_end() {
    if (current().kind != TokenKind::kBlockEnd) fail_at_current("%}");
    take();
  }

  // The rest of an opening tag, the body and the word that ends it.
  Body parse_body_until(std::string_view end) {
    expect_block_end();
    Body body = parse_body({end});
    take();
    return body;
  }

  Statement parse_statement() {
    const int line = current().line;
    if (current().kind != TokenKind::kName) fail_at_current("the name of a tag");
    const std::string tag = current().text;
    static constexpr std::pair<std::string_view, Statement (Parser::*)(int)> kTags[] = {
        {"if", &Parser::parse_if},           {"for", &Parser::parse_for},
        {"set", &Parser::parse_set},         {"macro", &Parser::parse_macro},
        {"call", &Parser::parse_call},       {"filter", &Parser::parse_filter_block},
        {"with", &Parser::parse_with},       {"generation", &Parser::parse_generation},
        {"break", &Parser::parse_jump},      {"continue", &Parser::parse_jump},
        {"print", &Parser::parse_print_tag},
    };
    for (const auto& [name, parse_tag] : kTags) {
      if (tag == name) return (this->*parse_tag)(line);
    }
    static constexpr std::string_view kOther[] = {"extends", "block",      "include", "import",
                                                  "from",    "autoescape", "do",      "trans"};
    if (std::find(std::begin(kOther), std::end(kOther), tag) != std::end(kOther)) {
      fail_unsupported(fmt::format("the tag \"{}\"", tag));
    }
    throw_syntax_error(line, fmt::format("unknown tag \"{}\"", tag.substr(0, 80)));
  }

  Statement parse_if(int line) {
    const std::size_t num_unknown = unknown_natives_.size();
    IfStatement statement;
    do {
      take();
      ExprPtr condition = parse_tuple(false);
      expect_block_end();
      statement.branches.emplace_back(std::move(condition), parse_body({"elif", "else", "endif"}));
    } while (current().is_name("elif"));
    if (skip_name("else")) {
      statement.otherwise = parse_body_until("endif");
    } else {
      take();
    }
    unknown_natives_.resize(num_unknown);
    return {std::move(statement), line};
  }

  Statement parse_for(int line) {
    take();
    ForStatement statement;
    statement.target = parse_target(false);
    if (!skip_name("in")) fail_at_current("\"in\"");
    statement.values = parse_tuple(false);
    if (skip_name("if")) statement.condition = parse_expression();
    if (current().is_name("recursive")) fail_unsupported("a recursive loop");
    expect_block_end();
    ++num_loops_;
    statement.body = parse_body({"else", "endfor"});
    --num_loops_;
    if (skip_name("else")) {
      statement.otherwise = parse_body_until("endfor");
    } else {
      take();
    }
    statement.loop_id = id_of("loop");
    return {std::move(statement), line};
  }

  // A variable, name.member if `with_members`, or several of these.
  Target parse_target(bool with_members) {
    const Nest nest(*this);
    Target tuple;
    bool is_tuple = false;
    do {
      if (is_tuple && !is_target_begin()) break;
      tuple.parts.push_back(parse_single_target(with_members));
      is_tuple = is_tuple || current().is_operator(",");
    } while (skip_operator(","));
    return is_tuple ? std::move(tuple) : std::move(tuple.parts[0]);
  }

  bool is_target_begin() const {
    return (current().kind == TokenKind::kName && !current().is_name("in")) || current().is_operator("(");
  }

  Target parse_single_target(bool with_members) {
    if (skip_operator("(")) {
      Target inner = parse_target(with_members);
      expect_operator(")");
      return inner;
    }
    Target target;
    target.name = expect_name();
    static constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
    if (std::find(std::begin(kReserved), std::end(kReserved), target.name) != std::end(kReserved)) {
      throw_syntax_error(current().line, fmt::format("cannot assign to \"{}\"", target.name));
    }
    target.id = id_of(target.name);
    if (with_members && skip_operator(".")) target.member = expect_name();
    return target;
  }

  Statement parse_set(int line) {
    take();
    Target target = parse_target(true);
    if (skip_operator("=")) return {SetStatement{std::move(target), parse_tuple(true)}, line};
    CaptureStatement capture;
    capture.target = std::make_unique<Target>(std::move(target));
    while (skip_operator("|")) capture.filters.push_back(parse_filter_call(nullptr));
    capture.body = parse_body_until("endset");
    return {std::move(capture), line};
  }

  Statement parse_filter_block(int line) {
    take();
    CaptureStatement capture;
    do {
      capture.filters.push_back(parse_filter_call(nullptr));
    } while (skip_operator("|"));
    capture.body = parse_body_until("endfilter");
    return {std::move(capture), line};
  }

  void parse_signature(MacroNode& macro) {
    expect_operator("(");
    while (!skip_operator(")")) {
      if (!macro.params.empty()) expect_operator(",");
      const std::string name = expect_name();
      macro.params.emplace_back(id_of(name), name);
      if (skip_operator("=")) {
        macro.defaults.push_back(parse_expression());
      } else if (!macro.defaults.empty()) {
        fail_at_current("a default value, as the parameters before have one");
      }
    }
  }

  void parse_macro_body(MacroNode& macro, std::string_view end) {
    open_macros_.push_back(&macro);
    const int num_loops = std::exchange(num_loops_, 0);  // a macro cannot leave the loop around it
    macro.body = std::make_unique<Body>(parse_body_until(end));
    num_loops_ = num_loops;
    open_macros_.pop_back();
    macro.varargs_id = id_of("varargs");
    macro.kwargs_id = id_of("kwargs");
    macro.caller_id = id_of("caller");
  }

  Statement parse_macro(int line) {
    take();
    auto macro = std::make_shared<MacroNode>();
    macro->name = expect_name();
    parse_signature(*macro);
    parse_macro_body(*macro, "endmacro");
    return {MacroStatement{id_of(macro->name), std::move(macro)}, line};
  }

  Statement parse_call(int line) {
    take();
    auto caller = std::make_shared<MacroNode>();
    caller->name = "caller";
    if (current().is_operator("(")) parse_signature(*caller);
    ExprPtr call = parse_expression();
    auto* parts = std::get_if<CallExpr>(&call->node);
    if (!parts) throw_syntax_error(line, "{% call %} needs a call of a macro");
    CallStatement statement{std::move(parts->callee), std::move(parts->args), nullptr};
    parse_macro_body(*caller, "endcall");
    statement.caller = std::move(caller);
    return {std::move(statement), line};
  }

  Statement parse_with(int line) {
    take();
    ScopeStatement scope;
    while (current().kind != TokenKind::kBlockEnd) {
      if (!scope.assignments.empty()) expect_operator(",");
      Target target = parse_single_target(false);
      expect_operator("=");
      scope.assignments.emplace_back(std::move(target), parse_expression());
    }
    scope.body = parse_body_until("endwith");
    return {std::move(scope), line};
  }

  // Marks the assistant's words for training; for a prompt it means nothing, but no loop can be left from
  // inside.
  Statement parse_generation(int line) {
    take();
    ScopeStatement scope;
    const int num_loops = std::exchange(num_loops_, 0);
    scope.body = parse_body_until("endgeneration");
    num_loops_ = num_loops;
    return {std::move(scope), line};
  }

  Statement parse_jump(int line) {
    const std::string tag = take().text;
    if (num_loops_ == 0) throw_syntax_error(line, fmt::format("\"{}\" outside of a loop", tag));
    if (tag == "break") return {BreakStatement{}, line};
    return {ContinueStatement{}, line};
  }

  Statement parse_print_tag(int line) {
    take();
    ConcatExpr values;
    do {
      values.parts.push_back(parse_expression());
    } while (skip_operator(","));
    return {PrintStatement{make(line, std::move(values))}, line};
  }

  int num_loops_ = 0;  // loops around, within the same macro
};

}  // namespace

Ast parse_template(std::string_view source) { return Parser(source).parse(); }

}  // namespace quire::jinja
