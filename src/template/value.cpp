#include "template/value.h"

#include <algorithm>
#include <cmath>

namespace quire::jinja {
namespace {

constexpr int kMaxValueDepth = 150;
constexpr std::size_t kManyEntries = 16;

void check_depth(int depth) {
  if (depth > kMaxValueDepth) fail("a value of the template nests deeper than {} levels", kMaxValueDepth);
}

// Whether a double is this integer; a conversion would round.
bool equals_int(double number, std::int64_t integer) {
  return std::trunc(number) == number && std::abs(number) < 9.2e18 &&
         static_cast<std::int64_t>(number) == integer;
}

std::int64_t as_int(const Value& value) {
  return value.is<bool>() ? static_cast<std::int64_t>(*value.get<bool>()) : *value.get<std::int64_t>();
}

bool numbers_equal(const Value& a, const Value& b) {
  if (a.is<double>() && b.is<double>()) return *a.get<double>() == *b.get<double>();
  if (a.is<double>()) return equals_int(*a.get<double>(), as_int(b));
  if (b.is<double>()) return equals_int(*b.get<double>(), as_int(a));
  return as_int(a) == as_int(b);
}

bool lists_equal(const List& a, const List& b, Budget& budget) {
  if (a.is_tuple != b.is_tuple || a.items.size() != b.items.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(a.items[i], b.items[i], budget)) return false;
  }
  return true;
}

bool dicts_equal(const Dict& a, const Dict& b, Budget& budget) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(key, budget);
    if (!other || !equal(value, *other, budget)) return false;
  }
  return true;
}

}  // namespace

void fail_undefined(const Undefined& undefined) {
  fail("{}", undefined.why ? *undefined.why : std::string("a value is undefined"));
}

Value make_undefined(std::string why) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(why))});
}

Value make_text(Text text, Budget& budget) {
  budget.charge_bytes(text.size());
  return Value(std::make_shared<const Text>(std::move(text)));
}

Value make_text(std::string_view bytes, Budget& budget) {
  return make_text(Text(std::string(bytes)), budget);
}

Value make_list(std::vector<Value> items, Budget& budget, bool is_tuple) {
  budget.charge_bytes(items.size() * sizeof(Value));
  int depth = 1;
  for (const Value& item : items) depth = std::max(depth, 1 + depth_of(item));
  check_depth(depth);
  return Value(std::make_shared<const List>(List{std::move(items), is_tuple, depth}));
}

Value make_dict(Dict dict, Budget& budget) {
  budget.charge_bytes(dict.entries().size() * sizeof(Dict::Entry));
  check_depth(dict.depth());
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

std::size_t Dict::position(std::string_view key) const {
  if (entries_.size() > kManyEntries) {
    const auto entry = by_text_.find(std::string(key));
    return entry == by_text_.end() ? entries_.size() : entry->second;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Text* text = entries_[i].first.text();
    if (text && text->bytes() == key) return i;
  }
  return entries_.size();
}

const Value* Dict::find(std::string_view key) const {
  const std::size_t at = position(key);
  return at == entries_.size() ? nullptr : &entries_[at].second;
}

const Value* Dict::find(const Value& key, Budget& budget) const {
  if (const Text* text = key.text()) return find(text->bytes());
  for (const auto& [other, value] : entries_) {
    if (equal(other, key, budget)) return &value;
  }
  return nullptr;
}

void Dict::set(Value key, Value value, Budget& budget) {
  if (!key.text() && !key.is<None>() && !is_number(key))
    fail("{} cannot be the key of a dict", type_name(key));
  depth_ = std::max(depth_, 1 + depth_of(value));
  if (const Value* present = find(key, budget)) {
    *const_cast<Value*>(present) = std::move(value);  // an element of our own entries_
    return;
  }
  if (key.text()) by_text_.emplace(key.text()->bytes(), entries_.size());
  entries_.emplace_back(std::move(key), std::move(value));
}

const Value* Namespace::find(std::string_view name) const {
  const auto member =
      std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == name; });
  return member == members.end() ? nullptr : &member->second;
}

void Namespace::set(std::string_view name, Value value) {
  if (name.starts_with("_")) fail("a namespace has no members that begin with an underscore, got {}", name);
  const auto member =
      std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == name; });
  if (member != members.end()) {
    member->second = std::move(value);
  } else {
    members.emplace_back(name, std::move(value));
  }
}

const char* type_name(const Value& value) {
  static constexpr const char* kNames[] = {"undefined", "none", "bool",      "int",  "float",   "str",
                                           "list",      "dict", "namespace", "loop", "function"};
  if (const List* list = value.list(); list && list->is_tuple) return "tuple";
  return kNames[value.data().index()];
}

bool is_true(const Value& value) {
  if (const auto* boolean = value.get<bool>()) return *boolean;
  if (value.is<Undefined>() || value.is<None>()) return false;
  if (is_number(value)) return as_double(value) != 0;
  if (const Text* text = value.text()) return !text->empty();
  if (const List* list = value.list()) return !list->items.empty();
  if (const Dict* dict = value.dict()) return !dict->entries().empty();
  return true;
}

bool is_number(const Value& value) {
  return value.is<bool>() || value.is<std::int64_t>() || value.is<double>();
}

double as_double(const Value& number) {
  return number.is<double>() ? *number.get<double>() : static_cast<double>(as_int(number));
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  budget.charge_steps();
  if (is_number(a) && is_number(b)) return numbers_equal(a, b);
  if (a.data().index() != b.data().index()) return false;
  if (a.is<Undefined>() || a.is<None>()) return true;
  if (a.text()) {
    budget.charge_steps(static_cast<std::int64_t>(a.text()->size() / 256));
    return a.text()->bytes() == b.text()->bytes();
  }
  if (a.list()) return a.list() == b.list() || lists_equal(*a.list(), *b.list(), budget);
  if (a.dict()) return a.dict() == b.dict() || dicts_equal(*a.dict(), *b.dict(), budget);
  if (a.is<NamespacePtr>()) return *a.get<NamespacePtr>() == *b.get<NamespacePtr>();
  if (a.is<LoopPtr>()) return *a.get<LoopPtr>() == *b.get<LoopPtr>();
  return *a.get<CallablePtr>() == *b.get<CallablePtr>();
}

bool less(const Value& a, const Value& b, Budget& budget) {
  budget.charge_steps();
  if (a.is<Undefined>()) fail_undefined(*a.get<Undefined>());
  if (b.is<Undefined>()) fail_undefined(*b.get<Undefined>());
  if (is_number(a) && is_number(b)) {
    if (!a.is<double>() && !b.is<double>()) return as_int(a) < as_int(b);
    return as_double(a) < as_double(b);
  }
  if (a.text() && b.text()) return a.text()->bytes() < b.text()->bytes();  // UTF-8 sorts as its code points
  if (a.list() && b.list() && a.list()->is_tuple == b.list()->is_tuple) {
    const auto& left = a.list()->items;
    const auto& right = b.list()->items;
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      if (!equal(left[i], right[i], budget)) return less(left[i], right[i], budget);
    }
    return left.size() < right.size();
  }
  fail("{} and {} have no order", type_name(a), type_name(b));
}

int depth_of(const Value& value) {
  if (const List* list = value.list()) return list->depth;
  if (const Dict* dict = value.dict()) return dict->depth();
  if (const auto* loop = value.get<LoopPtr>()) return 1 + (*loop)->items->depth;
  if (const auto* callable = value.get<CallablePtr>(); callable && (*callable)->native) {
    return 1 + depth_of((*callable)->self);
  }
  return 0;
}

namespace {

ListPtr as_list(std::vector<Value> items, Budget& budget) {
  return *make_list(std::move(items), budget).get<ListPtr>();
}

}  // namespace

ListPtr elements(const Value& value, Budget& budget) {
  if (const auto* list = value.get<ListPtr>()) return *list;
  std::vector<Value> items;
  if (const Dict* dict = value.dict()) {
    budget.charge_bytes(dict->entries().size() * sizeof(Value));
    for (const auto& entry : dict->entries()) items.push_back(entry.first);
  } else if (const Text* text = value.text()) {
    budget.charge_bytes(text->size());
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t next = next_char(text->bytes(), at);
      budget.charge_bytes(sizeof(Text));
      items.push_back(make_text(text->cut(at, next), budget));
      at = next;
    }
  } else if (!value.is<Undefined>()) {
    fail("{} has no elements to go through", type_name(value));
  }
  return as_list(std::move(items), budget);
}

std::int64_t length(const Value& value) {
  if (const List* list = value.list()) return static_cast<std::int64_t>(list->items.size());
  if (const Dict* dict = value.dict()) return static_cast<std::int64_t>(dict->entries().size());
  if (const Text* text = value.text()) return static_cast<std::int64_t>(count_chars(text->bytes()));
  if (value.is<Undefined>()) return 0;
  fail("{} has no length", type_name(value));
}

}  // namespace quire::jinja
