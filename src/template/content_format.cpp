#include "template/content_format.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "template/ast_walk.h"

namespace quire::jinja {
namespace {

// What an expression may be: bits, since a name can stand for several things in different places.
enum Kind : unsigned { kNothing = 0, kMessages = 1, kMessage = 2, kContent = 4, kPart = 8 };

const std::string* literal_text(const ExprPtr& expr) {
  const auto* literal = expr ? std::get_if<Literal>(&expr->node) : nullptr;
  const Text* text = literal ? literal->value.text() : nullptr;
  return text ? &text->bytes() : nullptr;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The kind of an element of something.
unsigned element_of(unsigned kinds) {
  return (kinds & kMessages ? kMessage : kNothing) | (kinds & kContent ? kPart : kNothing);
}

class Finder {
 public:
  explicit Finder(const Ast& ast) : ast_(ast) {
    for (std::size_t id = 0; id < ast.names.size(); ++id) {
      if (ast.names[id] == "messages") names_[static_cast<NameId>(id)] = kMessages;
    }
  }

  ContentFormat find() {
    // Names may be used before the walk has seen what they stand for; kinds only ever grow. Longer chains of
    // names than this are nobody's template.
    constexpr int kMaxWalks = 16;
    has_changed_ = true;
    for (int i = 0; i < kMaxWalks && has_changed_; ++i) {
      has_changed_ = false;
      walk(ast_.body);
    }
    if (!wants_parts_) return ContentFormat::kText;
    return looks_at_type_ ? ContentFormat::kEither : ContentFormat::kParts;
  }

 private:
  // --- What expressions are ---
  unsigned kinds(const ExprPtr& expr) {
    return expr ? std::visit([this](const auto& e) { return kinds_of(e); }, expr->node) : kNothing;
  }
  template <class Node>
  unsigned kinds_of(const Node&) {
    return kNothing;
  }
  unsigned kinds_of(const Name& e) { return names_[e.id]; }
  unsigned kinds_of(const ListExpr& e) {
    unsigned found = kNothing;
    for (const ExprPtr& item : e.items) found |= kinds(item) & kMessage ? kMessages : kNothing;
    return found;
  }
  unsigned kinds_of(const AttributeExpr& e) { return member(kinds(e.object), e.name); }
  unsigned kinds_of(const ElementExpr& e) {
    const unsigned object = kinds(e.object);
    if (const std::string* name = literal_text(e.key)) return member(object, *name);
    return element_of(object);
  }
  unsigned kinds_of(const SliceExpr& e) { return kinds(e.object) & (kMessages | kContent); }
  unsigned kinds_of(const CallExpr& e) {
    const auto* method = std::get_if<AttributeExpr>(&e.callee->node);
    if (!method || method->name != "get" || e.args.positional.empty()) return kNothing;
    const std::string* name = literal_text(e.args.positional[0]);
    return name ? member(kinds(method->object), *name) : kNothing;
  }
  unsigned kinds_of(const FilterExpr& e) {
    const unsigned input = kinds(e.input);
    if (is_one_of(e.name, {"first", "last", "random"})) return element_of(input);
    return input & (kMessages | kContent);
  }
  unsigned kinds_of(const ChainExpr& e) {  // lists may be joined; joined contents are texts
    unsigned found = kinds(e.first);
    for (const auto& [op, operand] : e.rest) found |= kinds(operand);
    return found & kMessages;
  }
  unsigned kinds_of(const LogicExpr& e) {
    unsigned found = kNothing;
    for (const ExprPtr& operand : e.operands) found |= kinds(operand);
    return found;
  }
  unsigned kinds_of(const ConditionalExpr& e) { return kinds(e.then) | kinds(e.otherwise); }

  unsigned member(unsigned object, const std::string& name) {
    if (object & kPart && is_one_of(name, {"text", "type"})) wants_parts_ = true;
    return (object & kMessage && name == "content" ? kContent : kNothing) | members_[name];
  }

  // --- What is done with them ---
  void visit(const ExprPtr& expr) {
    if (!expr) return;
    for_each_operand(*expr, [this](const ExprPtr& operand) { visit(operand); });
    kinds(expr);  // a member of a part counts wherever it stands
    if (const auto* test = std::get_if<TestExpr>(&expr->node)) {
      looks_at_type_ |= test->name == "string" && kinds(test->input) & kContent;
    } else if (const auto* filter = std::get_if<FilterExpr>(&expr->node)) {
      const bool by_member = is_one_of(filter->name, {"selectattr", "rejectattr"}) ||
                             (filter->name == "map" && !filter->args.named.empty());
      wants_parts_ |= by_member && kinds(filter->input) & kContent;
    } else if (const auto* call = std::get_if<CallExpr>(&expr->node)) {
      pass_arguments(*call);
    }
  }

  // namespace(x=...) fills members; a macro's parameters become what it is called with.
  void pass_arguments(const CallExpr& call) {
    const auto* callee = std::get_if<Name>(&call.callee->node);
    if (!callee) return;
    for (const auto& [name, value] : call.args.named) grow(members_[name], kinds(value));
    const auto macro = macros_.find(callee->id);
    if (macro == macros_.end()) return;
    const auto& params = macro->second->params;
    for (std::size_t i = 0; i < std::min(params.size(), call.args.positional.size()); ++i) {
      grow(names_[params[i].first], kinds(call.args.positional[i]));
    }
    for (const auto& [name, value] : call.args.named) {
      for (const auto& [id, param] : params) {
        if (param == name) grow(names_[id], kinds(value));
      }
    }
  }

  void grow(unsigned& known, unsigned more) {
    has_changed_ |= (known | more) != known;
    known |= more;
  }
  void assign(const Target& target, unsigned value) {
    if (!target.parts.empty()) return;
    grow(target.member.empty() ? names_[target.id] : members_[target.member], value);
  }

  // --- Statements ---
  void walk(const Body& body) {
    for (const Statement& statement : body) {
      std::visit([this](const auto& node) { walk_node(node); }, statement.node);
    }
  }
  void walk_arguments(const ArgumentExprs& args) {
    for (const ExprPtr& arg : args.positional) visit(arg);
    for (const auto& [name, arg] : args.named) visit(arg);
    visit(args.more_positional);
    visit(args.more_named);
  }
  void walk_node(const DataStatement&) {}
  void walk_node(const BreakStatement&) {}
  void walk_node(const ContinueStatement&) {}
  void walk_node(const PrintStatement& s) { visit(s.value); }
  void walk_node(const IfStatement& s) {
    for (const auto& [condition, body] : s.branches) {
      visit(condition);
      walk(body);
    }
    walk(s.otherwise);
  }
  void walk_node(const ForStatement& s) {
    visit(s.values);
    const unsigned values = kinds(s.values);
    wants_parts_ |= (values & kContent) != 0;
    assign(s.target, element_of(values));
    visit(s.condition);
    walk(s.body);
    walk(s.otherwise);
  }
  void walk_node(const SetStatement& s) {
    visit(s.value);
    assign(s.target, kinds(s.value));
  }
  void walk_node(const CaptureStatement& s) {
    for (const FilterExpr& filter : s.filters) walk_arguments(filter.args);
    walk(s.body);
  }
  void walk_node(const MacroStatement& s) {
    macros_[s.id] = s.macro.get();
    walk_macro(*s.macro);
  }
  void walk_node(const CallStatement& s) {
    visit(s.callee);
    walk_arguments(s.args);
    walk_macro(*s.caller);
  }
  void walk_macro(const MacroNode& macro) {
    for (const ExprPtr& value : macro.defaults) visit(value);
    walk(*macro.body);
  }
  void walk_node(const ScopeStatement& s) {
    for (const auto& [target, value] : s.assignments) {
      visit(value);
      assign(target, kinds(value));
    }
    walk(s.body);
  }

  const Ast& ast_;
  std::unordered_map<NameId, unsigned> names_;
  std::unordered_map<std::string, unsigned> members_;  // of namespaces, by name
  std::unordered_map<NameId, const MacroNode*> macros_;
  bool wants_parts_ = false, looks_at_type_ = false, has_changed_ = false;
};

}  // namespace

ContentFormat find_content_format(const Ast& ast) { return Finder(ast).find(); }

}  // namespace quire::jinja
