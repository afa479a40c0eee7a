// The values of a template. Lists, dicts and texts never change once made, so that they cannot hold
// themselves; namespaces and loops do, and are named in their own types.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "template/budget.h"
#include "template/marked_text.h"

namespace quire::jinja {

class Value;
struct List;
class Dict;
struct Namespace;
struct Loop;
struct Callable;

using TextPtr = std::shared_ptr<const Text>;
using ListPtr = std::shared_ptr<const List>;
using DictPtr = std::shared_ptr<const Dict>;
using NamespacePtr = std::shared_ptr<Namespace>;
using LoopPtr = std::shared_ptr<const Loop>;
using CallablePtr = std::shared_ptr<const Callable>;

// What a missing variable or member is; `why` is the message if it is used for more than printing nothing.
struct Undefined {
  std::shared_ptr<const std::string> why;
};
struct None {};

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, std::int64_t, double, TextPtr, ListPtr, DictPtr,
                            NamespacePtr, LoopPtr, CallablePtr>;

  Value() = default;  // undefined
  Value(Data data) : data_(std::move(data)) {}

  template <class T>
  const T* get() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  const Data& data() const { return data_; }
  // The text or list behind the pointer, or null.
  const Text* text() const { return is<TextPtr>() ? get<TextPtr>()->get() : nullptr; }
  const List* list() const { return is<ListPtr>() ? get<ListPtr>()->get() : nullptr; }
  const Dict* dict() const { return is<DictPtr>() ? get<DictPtr>()->get() : nullptr; }

 private:
  Data data_;
};

struct List {
  std::vector<Value> items;
  bool is_tuple = false;
  int depth = 1;  // 1 + that of the deepest element
};

// Entries in the order of insertion. A key's kind matters (1 is not "1"), except that 1, 1.0 and true are one
// key.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const { return entries_; }
  const Value* find(std::string_view key) const;
  const Value* find(const Value& key, Budget& budget) const;
  // Adds, or replaces the value of an equal key. Throws for keys that are not text, number, boolean or none.
  void set(Value key, Value value, Budget& budget);
  int depth() const { return depth_; }

 private:
  std::size_t position(std::string_view key) const;

  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> by_text_;  // filled when there are many entries
  int depth_ = 1;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> members;
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

struct Loop {
  ListPtr items;
  std::size_t index = 0;  // of the current item, from 0
};

struct Args;
struct Runtime;
struct MacroClosure;  // a macro with the variables around it; the interpreter's
// A filter, a method or a function. `self` is what stands before the bar or the point.
using Native = Value (*)(const Value& self, const Args& args, Runtime& runtime);

struct Callable {
  std::string name;
  Native native = nullptr;
  Value self;                           // for natives
  std::shared_ptr<MacroClosure> macro;  // if not native
};

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// What natives may touch during one rendering.
struct Runtime {
  Budget budget;
  std::int64_t now_s;  // seconds since 1970, UTC
  std::vector<NamespacePtr>
      namespaces;  // all that were made: emptied at the end, since they may hold each other
};

template <class... Parts>
[[noreturn]] void fail(fmt::format_string<Parts...> format, Parts&&... parts) {
  throw_error(ErrorKind::kInvalidArgument, format, std::forward<Parts>(parts)...);
}
// The message of an undefined value.
[[noreturn]] void fail_undefined(const Undefined& undefined);

Value make_undefined(std::string why);
Value make_text(Text text, Budget& budget);
Value make_text(std::string_view bytes, Budget& budget);  // unmarked
Value make_list(std::vector<Value> items, Budget& budget, bool is_tuple = false);
Value make_dict(Dict dict, Budget& budget);

const char* type_name(const Value& value);  // as Python calls it, for messages
bool is_true(const Value& value);
bool is_number(const Value& value);  // booleans included, as in Python
double as_double(const Value& number);
bool equal(const Value& a, const Value& b, Budget& budget);
// a < b for two numbers or two texts or two lists; else throws.
bool less(const Value& a, const Value& b, Budget& budget);
int depth_of(const Value& value);

// The elements that a loop would see: of a list, the keys of a dict, the characters of a text, nothing of
// undefined.
ListPtr elements(const Value& value, Budget& budget);
// How many there are.
std::int64_t length(const Value& value);

}  // namespace quire::jinja
