// Members and elements of values, and the methods of lists and dicts.
#include <algorithm>

#include "template/natives.h"
#include "template/operators.h"

namespace quire::jinja {
namespace {

Value list_count(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "count", {"value"}, 1);
  const auto& items = self.list()->items;
  return Value(static_cast<std::int64_t>(std::count_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(item, *bound[0], runtime.budget);
  })));
}

Value list_index(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "index", {"value"}, 1);
  const auto& items = self.list()->items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (equal(items[i], *bound[0], runtime.budget)) return Value(static_cast<std::int64_t>(i));
  }
  fail("index: the list does not contain the value");
}

Value dict_get(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "get", {"key", "default"}, 1);
  const Value* value = self.dict()->find(*bound[0], runtime.budget);
  return value ? *value : bound[1] ? *bound[1] : Value(None{});
}

Value dict_items(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "items", {});
  runtime.budget.charge_bytes(self.dict()->entries().size() * sizeof(List));
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict()->entries()) {
    items.push_back(make_list({key, value}, runtime.budget, true));
  }
  return make_list(std::move(items), runtime.budget);
}

Value dict_keys(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "keys", {});
  return Value(elements(self, runtime.budget));
}

Value dict_values(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "values", {});
  std::vector<Value> values;
  for (const auto& entry : self.dict()->entries()) values.push_back(entry.second);
  return make_list(std::move(values), runtime.budget);
}

Value copy(const Value& self, const Args& args, Runtime&) {
  bind(args, "copy", {});
  return self;  // values never change
}

Value refuse_change(const Value& self, const Args&, Runtime&) {
  fail("a template cannot change a {}; lists are joined with +, and namespaces take new members",
       type_name(self));
}

Value loop_cycle(const Value& self, const Args& args, Runtime&) {
  if (args.positional.empty()) fail("cycle needs values to choose from");
  return args.positional[(*self.get<LoopPtr>())->index % args.positional.size()];
}

Native find_in(std::span<const NativeEntry> methods, std::string_view name) {
  for (const NativeEntry& method : methods) {
    if (method.name == name) return method.call;
  }
  return nullptr;
}

Value loop_attribute(const Value& value, std::string_view name) {
  const Loop& loop = **value.get<LoopPtr>();
  const auto& items = loop.items->items;
  const auto number = [](std::size_t n) { return Value(static_cast<std::int64_t>(n)); };
  if (name == "index") return number(loop.index + 1);
  if (name == "index0") return number(loop.index);
  if (name == "first") return Value(loop.index == 0);
  if (name == "last") return Value(loop.index + 1 == items.size());
  if (name == "length") return number(items.size());
  if (name == "revindex") return number(items.size() - loop.index);
  if (name == "revindex0") return number(items.size() - loop.index - 1);
  if (name == "depth") return number(1);
  if (name == "depth0") return number(0);
  if (name == "previtem")
    return loop.index > 0 ? items[loop.index - 1] : make_undefined("there is no previous item");
  if (name == "nextitem") {
    return loop.index + 1 < items.size() ? items[loop.index + 1] : make_undefined("there is no next item");
  }
  if (name == "cycle") return native_method(name, loop_cycle, value);
  return make_undefined(fmt::format("a loop has no member \"{}\"", name.substr(0, 80)));
}

Native find_method(const Value& value, std::string_view name) {
  if (value.text()) return find_text_method(name);
  if (value.list()) return find_list_method(name);
  if (value.dict()) return find_dict_method(name);
  return nullptr;
}

Value missing(const Value& value, std::string_view name) {
  return make_undefined(fmt::format("{} has no member \"{}\"", type_name(value), name.substr(0, 80)));
}

// A member that is no entry of a dict.
Value inherent(const Value& value, std::string_view name) {
  if (const Native method = find_method(value, name)) return native_method(name, method, value);
  if (value.is<LoopPtr>()) return loop_attribute(value, name);
  if (const auto* space = value.get<NamespacePtr>()) {
    if (const Value* member = (*space)->find(name)) return *member;
  }
  if (const auto* callable = value.get<CallablePtr>(); callable && name == "name") {
    return Value(std::make_shared<const Text>((*callable)->name));
  }
  return missing(value, name);
}

std::optional<Value> at_index(const Value& value, std::int64_t index, Runtime& runtime) {
  if (const List* list = value.list()) {
    const auto size = static_cast<std::int64_t>(list->items.size());
    const std::int64_t at = index < 0 ? index + size : index;
    if (at < 0 || at >= size) return std::nullopt;
    return list->items[static_cast<std::size_t>(at)];
  }
  const Text* text = value.text();
  if (!text) return std::nullopt;
  runtime.budget.charge_bytes(text->size() * sizeof(std::size_t) / 4);
  const std::vector<std::size_t> offsets = char_offsets(text->bytes());
  const auto size = static_cast<std::int64_t>(offsets.size()) - 1;
  const std::int64_t at = index < 0 ? index + size : index;
  if (at < 0 || at >= size) return std::nullopt;
  const auto i = static_cast<std::size_t>(at);
  return make_text(text->cut(offsets[i], offsets[i + 1]), runtime.budget);
}

}  // namespace

Native find_list_method(std::string_view name) {
  static constexpr NativeEntry kMethods[] = {
      {"append", refuse_change},  {"clear", refuse_change},  {"copy", copy},
      {"count", list_count},      {"extend", refuse_change}, {"index", list_index},
      {"insert", refuse_change},  {"pop", refuse_change},    {"remove", refuse_change},
      {"reverse", refuse_change}, {"sort", refuse_change},
  };
  return find_in(kMethods, name);
}

Native find_dict_method(std::string_view name) {
  static constexpr NativeEntry kMethods[] = {
      {"clear", refuse_change},   {"copy", copy},
      {"get", dict_get},          {"items", dict_items},
      {"keys", dict_keys},        {"pop", refuse_change},
      {"popitem", refuse_change}, {"setdefault", refuse_change},
      {"update", refuse_change},  {"values", dict_values},
  };
  return find_in(kMethods, name);
}

Value attribute(const Value& value, std::string_view name, Runtime&) {
  if (const auto* undefined = value.get<Undefined>()) fail_undefined(*undefined);
  if (value.dict() && !find_dict_method(name)) {
    const Value* entry = value.dict()->find(name);
    return entry ? *entry : missing(value, name);
  }
  return inherent(value, name);
}

Value element(const Value& value, const Value& key, Runtime& runtime) {
  if (const auto* undefined = value.get<Undefined>()) fail_undefined(*undefined);
  if (const Dict* dict = value.dict()) {
    if (const Value* entry = dict->find(key, runtime.budget)) return *entry;
  }
  if (const Text* name = key.text()) return inherent(value, name->bytes());
  if (key.is<std::int64_t>() || key.is<bool>()) {
    if (auto item = at_index(value, integer_of(key, "an index"), runtime)) return *item;
  }
  return make_undefined(fmt::format("{} has no such element", type_name(value)));
}

Value slice(const Value& value, const Value& begin, const Value& end, const Value& step, Runtime& runtime) {
  if (const auto* undefined = value.get<Undefined>()) fail_undefined(*undefined);
  if (!value.list() && !value.text())
    return make_undefined(fmt::format("{} has no slices", type_name(value)));
  std::vector<std::size_t> offsets;
  if (value.text()) {
    runtime.budget.charge_bytes(value.text()->size() * sizeof(std::size_t) / 4);
    offsets = char_offsets(value.text()->bytes());
  }
  const auto size = static_cast<std::int64_t>(value.list() ? value.list()->items.size() : offsets.size() - 1);
  const std::int64_t stride = step.is<None>() ? 1 : integer_of(step, "a slice");
  if (stride == 0) fail("a slice needs a step that is not 0");
  const std::int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? size : size - 1;
  const auto bound = [&](const Value& given, std::int64_t otherwise) {
    if (given.is<None>()) return otherwise;
    const std::int64_t at = integer_of(given, "a slice");
    return std::clamp(at < 0 ? at + size : at, low, high);
  };
  const std::int64_t first = bound(begin, stride > 0 ? low : high),
                     last = bound(end, stride > 0 ? high : low);
  std::vector<std::size_t> chosen;
  // The distance is compared before stepping, so that no step can overflow.
  for (std::int64_t at = first; stride > 0 ? at < last : at > last;) {
    chosen.push_back(static_cast<std::size_t>(at));
    if (stride > 0 ? stride >= last - at : stride <= last - at) break;
    at += stride;
  }
  runtime.budget.charge_bytes(chosen.size() * sizeof(std::size_t));
  if (value.text()) {
    if (stride == 1 && !chosen.empty()) {
      return make_text(value.text()->cut(offsets[chosen.front()], offsets[chosen.back() + 1]),
                       runtime.budget);
    }
    Text out;
    for (const std::size_t i : chosen) out.append(*value.text(), offsets[i], offsets[i + 1]);
    return make_text(std::move(out), runtime.budget);
  }
  std::vector<Value> items;
  for (const std::size_t i : chosen) items.push_back(value.list()->items[i]);
  return make_list(std::move(items), runtime.budget, value.list()->is_tuple);
}

}  // namespace quire::jinja
