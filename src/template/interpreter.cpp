#include "template/interpreter.h"

#include <algorithm>

#include "template/operators.h"
#include "template/value_text.h"

namespace quire::jinja {

ScopePtr make_scope(const ScopePtr& parent) {
  constexpr int kMaxDepth = 1000;
  if (parent->depth >= kMaxDepth) fail("scopes of variables nest deeper than {} levels", kMaxDepth);
  return std::make_shared<Scope>(Scope{parent, parent->depth + 1, {}});
}

void Scope::set(NameId id, Value value) {
  for (auto& [other, present] : variables) {
    if (other != id) continue;
    present = std::move(value);
    return;
  }
  variables.emplace_back(id, std::move(value));
}

const Value* Scope::find(NameId id) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [other, value] : scope->variables) {
      if (other == id) return &value;
    }
  }
  return nullptr;
}

// Breaks what holds itself: namespaces and remembered scopes lose their contents before the last reference
// goes.
Interpreter::~Interpreter() {
  for (const NamespacePtr& space : runtime_.namespaces) space->members.clear();
  for (const ScopePtr& scope : remembered_) scope->variables.clear();
}

Text Interpreter::run(std::vector<std::pair<NameId, Value>> variables) {
  Text out;
  out_ = &out;
  scope_ = std::make_shared<Scope>(Scope{nullptr, 1, std::move(variables)});
  exec(ast_.body);
  return out;
}

void Interpreter::print(const Text& text) {
  budget_.check_text_size(out_->size() + text.size());
  out_->append(text);
}

template <class Write>
Text Interpreter::captured(Write write) {
  Text text;
  Text* const outer = std::exchange(out_, &text);
  write();
  out_ = outer;  // an exception ends the whole rendering
  budget_.charge_bytes(text.size());
  return text;
}

Interpreter::Flow Interpreter::exec(const Body& body) {
  const Budget::Level level(budget_);
  for (const Statement& statement : body) {
    const Flow flow = exec(statement);
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::exec(const Statement& statement) {
  budget_.charge_steps();
  line_ = statement.line;
  return std::visit([this](const auto& node) { return exec_node(node); }, statement.node);
}

Interpreter::Flow Interpreter::exec_node(const DataStatement& data) {
  print(*data.text);
  return Flow::kOn;
}

Interpreter::Flow Interpreter::exec_node(const PrintStatement& statement) {
  print(*to_text(eval(*statement.value), budget_));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::exec_node(const IfStatement& branch) {
  for (const auto& [condition, body] : branch.branches) {
    if (is_true(eval(*condition))) return exec(body);
  }
  return exec(branch.otherwise);
}

Interpreter::Flow Interpreter::exec_in_scope(const Body& body, ScopePtr scope) {
  const ScopePtr outer = std::exchange(scope_, std::move(scope));
  const Flow flow = exec(body);
  scope_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::exec_node(const ForStatement& loop) {
  ListPtr items = elements(eval(*loop.values), budget_);
  if (loop.condition) {
    const ScopePtr outer = scope_;
    std::vector<Value> kept;
    for (const Value& item : items->items) {
      scope_ = make_scope(outer);
      assign(loop.target, item);
      if (is_true(eval(*loop.condition))) kept.push_back(item);
    }
    scope_ = outer;
    items = *make_list(std::move(kept), budget_).get<ListPtr>();
  }
  if (items->items.empty()) return exec(loop.otherwise);
  return exec_loop(loop, items);
}

Interpreter::Flow Interpreter::exec_loop(const ForStatement& loop, const ListPtr& items) {
  const ScopePtr outer = scope_;
  const auto state = std::make_shared<Loop>();
  state->items = items;
  Flow flow = Flow::kOn;
  for (std::size_t i = 0; i < items->items.size() && flow != Flow::kBreak; ++i) {
    budget_.charge_steps();
    state->index = i;
    // What an iteration assigns is gone in the next one.
    scope_ = make_scope(outer);
    scope_->set(loop.loop_id, Value(LoopPtr(state)));
    assign(loop.target, items->items[i]);
    flow = exec(loop.body);
  }
  scope_ = outer;
  return Flow::kOn;
}

Interpreter::Flow Interpreter::exec_node(const SetStatement& set) {
  assign(set.target, eval(*set.value));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::exec_node(const CaptureStatement& capture) {
  Flow flow = Flow::kOn;
  Value value = make_text(captured([&] { flow = exec_in_scope(capture.body, make_scope(scope_)); }), budget_);
  if (flow != Flow::kOn) return flow;
  for (const FilterExpr& filter : capture.filters) {
    if (!filter.filter) fail("unknown filter \"{}\"", filter.name);
    value = filter.filter(value, eval_args(filter.args), runtime_);
  }
  if (capture.target) {
    assign(*capture.target, std::move(value));
  } else {
    print(*to_text(value, budget_));
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::exec_node(const MacroStatement& statement) {
  scope_->set(statement.id, make_macro(statement.macro));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::exec_node(const CallStatement& statement) {
  Args args = eval_args(statement.args);
  args.named.emplace_back("caller", make_macro(statement.caller));
  print(*to_text(call(eval(*statement.callee), std::move(args)), budget_));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::exec_node(const ScopeStatement& statement) {
  const auto inner = make_scope(scope_);
  for (const auto& [target, value] : statement.assignments) inner->set(target.id, eval(*value));
  return exec_in_scope(statement.body, inner);
}

void Interpreter::assign(const Target& target, Value value) {
  if (!target.parts.empty()) {
    const ListPtr items = elements(value, budget_);
    if (items->items.size() != target.parts.size()) {
      fail("{} values cannot be assigned to {} names", items->items.size(), target.parts.size());
    }
    for (std::size_t i = 0; i < items->items.size(); ++i) assign(target.parts[i], items->items[i]);
  } else if (target.member.empty()) {
    scope_->set(target.id, std::move(value));
  } else {
    const Value* object = scope_->find(target.id);
    if (!object || !object->is<NamespacePtr>()) {
      fail("only namespaces take new members, \"{}\" is {}", target.name,
           object ? type_name(*object) : "undefined");
    }
    budget_.charge_steps();
    (*object->get<NamespacePtr>())->set(target.member, std::move(value));
  }
}

Value Interpreter::make_macro(std::shared_ptr<const MacroNode> node) {
  budget_.charge_bytes(sizeof(Callable) + sizeof(MacroClosure));
  remembered_.push_back(scope_);
  const std::string name = node->name;
  auto closure = std::make_shared<MacroClosure>(MacroClosure{std::move(node), scope_});
  return Value(std::make_shared<const Callable>(Callable{name, nullptr, Value(), std::move(closure)}));
}

Value Interpreter::call(const Value& callee, Args args) {
  if (const auto* undefined = callee.get<Undefined>()) fail_undefined(*undefined);
  const auto* callable = callee.get<CallablePtr>();
  if (!callable) fail("{} cannot be called", type_name(callee));
  if ((*callable)->native) return (*callable)->native((*callable)->self, args, runtime_);
  return call_macro(*(*callable)->macro, std::move(args));
}

Value Interpreter::call_macro(const MacroClosure& macro, Args args) {
  const Budget::Level level(budget_);
  const ScopePtr outer = std::exchange(scope_, make_scope(macro.scope));
  const ScopePtr inner = scope_;
  bind_macro_args(*macro.node, std::move(args), *inner);
  const int line = line_;
  Text text = captured([&] { exec(*macro.node->body); });
  line_ = line;
  scope_ = outer;
  return make_text(std::move(text), budget_);
}

void Interpreter::bind_macro_args(const MacroNode& macro, Args args, Scope& scope) {
  const std::size_t num_params = macro.params.size();
  for (std::size_t i = 0; i < num_params; ++i) {
    const auto& [id, name] = macro.params[i];
    const auto named =
        std::find_if(args.named.begin(), args.named.end(), [&](const auto& a) { return a.first == name; });
    if (i < args.positional.size()) {
      if (named != args.named.end()) fail("{} got its argument \"{}\" twice", macro.name, name);
      scope.set(id, std::move(args.positional[i]));
    } else if (named != args.named.end()) {
      scope.set(id, std::move(named->second));
      args.named.erase(named);
    } else if (i + macro.defaults.size() >= num_params) {
      scope.set(id, eval(*macro.defaults[i + macro.defaults.size() - num_params]));
    } else {
      scope.set(id,
                make_undefined(fmt::format("{} was called without its argument \"{}\"", macro.name, name)));
    }
  }
  args.positional.erase(
      args.positional.begin(),
      args.positional.begin() + static_cast<std::ptrdiff_t>(std::min(num_params, args.positional.size())));
  bind_rest(macro, std::move(args), scope);
}

// What a macro did not name, if its body asks for it.
void Interpreter::bind_rest(const MacroNode& macro, Args args, Scope& scope) {
  Value caller = make_undefined(fmt::format("{} was not called by a call block", macro.name));
  const auto given =
      std::find_if(args.named.begin(), args.named.end(), [](const auto& a) { return a.first == "caller"; });
  if (given != args.named.end() && macro.uses_caller) {
    caller = std::move(given->second);
    args.named.erase(given);
  }
  if (macro.uses_caller) scope.set(macro.caller_id, std::move(caller));
  if (!macro.uses_varargs && !args.positional.empty()) {
    fail("{} takes {} arguments, got {}", macro.name, macro.params.size(),
         macro.params.size() + args.positional.size());
  }
  if (macro.uses_varargs) scope.set(macro.varargs_id, make_list(std::move(args.positional), budget_, true));
  if (!macro.uses_kwargs && !args.named.empty()) {
    fail("{} has no argument \"{}\"", macro.name, args.named.front().first);
  }
  if (!macro.uses_kwargs) return;
  Dict kwargs;
  for (auto& [name, value] : args.named) kwargs.set(make_text(name, budget_), std::move(value), budget_);
  scope.set(macro.kwargs_id, make_dict(std::move(kwargs), budget_));
}

}  // namespace quire::jinja
