// Filters over the elements of lists, dicts and texts.
#include <algorithm>

#include "base/stable_sort.h"
#include "template/natives.h"
#include "template/value_text.h"

namespace quire::jinja {
namespace {

// "a.b.0": members of members, or elements by number.
Value member_path(Value value, const Value& path, Runtime& runtime) {
  if (!path.text()) return element(value, path, runtime);
  const std::string& names = path.text()->bytes();
  for (const Range part : split_at(names, ".", kNoLimit, false)) {
    const std::string name = names.substr(part.begin, part.end - part.begin);
    const bool is_number =
        !name.empty() && name.size() < 18 && name.find_first_not_of("0123456789") == std::string::npos;
    value = is_number ? element(value, Value(static_cast<std::int64_t>(std::stoll(name))), runtime)
                      : element(value, make_text(name, runtime.budget), runtime);
  }
  return value;
}

// What sort, unique and the like compare: the member if asked for, small letters unless case matters.
Value sort_key(const Value& value, const std::optional<Value>& path, bool with_case, Runtime& runtime) {
  Value key = path && !path->is<None>() ? member_path(value, *path, runtime) : value;
  if (!with_case && key.text()) return make_text(to_lower(*key.text()), runtime.budget);
  return key;
}

Value list(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "list", {});
  const ListPtr items = elements(self, runtime.budget);
  return items->is_tuple ? make_list(items->items, runtime.budget) : Value(items);
}

Value length_filter(const Value& self, const Args& args, Runtime&) {
  bind(args, "length", {});
  return Value(length(self));
}

Value first(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "first", {});
  const ListPtr items = elements(self, runtime.budget);
  return items->items.empty() ? make_undefined("there is no first element") : items->items.front();
}

Value last(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "last", {});
  const ListPtr items = elements(self, runtime.budget);
  return items->items.empty() ? make_undefined("there is no last element") : items->items.back();
}

Value reverse(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "reverse", {});
  const ListPtr items = elements(self, runtime.budget);
  if (self.text()) {
    Text out;
    for (auto item = items->items.rbegin(); item != items->items.rend(); ++item) out.append(*item->text());
    return make_text(std::move(out), runtime.budget);
  }
  return make_list({items->items.rbegin(), items->items.rend()}, runtime.budget);
}

Value items(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "items", {});
  if (self.is<Undefined>()) return make_list({}, runtime.budget);
  if (!self.dict()) fail("items needs a dict, got {}", type_name(self));
  return find_dict_method("items")(self, {}, runtime);
}

void sort_by_keys(std::vector<std::pair<Value, Value>>& keyed, bool is_reverse, Budget& budget) {
  sort_stably(keyed, [&](const auto& a, const auto& b) {
    return is_reverse ? less(b.first, a.first, budget) : less(a.first, b.first, budget);
  });
}

Value sorted_values(std::vector<std::pair<Value, Value>> keyed, bool is_reverse, Budget& budget) {
  sort_by_keys(keyed, is_reverse, budget);
  std::vector<Value> values;
  for (auto& entry : keyed) values.push_back(std::move(entry.second));
  return make_list(std::move(values), budget);
}

Value sort(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "sort", {"reverse", "case_sensitive", "attribute"});
  std::vector<std::pair<Value, Value>> keyed;
  const ListPtr all = elements(self, runtime.budget);
  for (const Value& item : all->items) {
    keyed.emplace_back(sort_key(item, bound[2], bool_or(bound[1], false), runtime), item);
  }
  return sorted_values(std::move(keyed), bool_or(bound[0], false), runtime.budget);
}

Value dictsort(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "dictsort", {"case_sensitive", "by", "reverse"});
  if (!self.dict()) fail("dictsort needs a dict, got {}", type_name(self));
  const std::string by = bound[1] ? text_of(*bound[1], "dictsort").bytes() : "key";
  if (by != "key" && by != "value") fail("dictsort sorts by \"key\" or \"value\", not by \"{}\"", by);
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : self.dict()->entries()) {
    keyed.emplace_back(sort_key(by == "key" ? key : value, std::nullopt, bool_or(bound[0], false), runtime),
                       make_list({key, value}, runtime.budget, true));
  }
  return sorted_values(std::move(keyed), bool_or(bound[2], false), runtime.budget);
}

Value unique(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "unique", {"case_sensitive", "attribute"});
  std::vector<Value> seen, values;
  const ListPtr all = elements(self, runtime.budget);
  for (const Value& item : all->items) {
    const Value key = sort_key(item, bound[1], bool_or(bound[0], false), runtime);
    const auto is_same = [&](const Value& other) { return equal(key, other, runtime.budget); };
    if (std::any_of(seen.begin(), seen.end(), is_same)) continue;
    seen.push_back(key);
    values.push_back(item);
  }
  return make_list(std::move(values), runtime.budget);
}

Value map(const Value& self, const Args& args, Runtime& runtime) {
  std::vector<Value> values;
  const ListPtr items = elements(self, runtime.budget);
  if (args.positional.empty()) {
    const Bound bound = bind(args, "map", {"attribute", "default"}, 1);
    for (const Value& item : items->items) {
      Value value = member_path(item, *bound[0], runtime);
      values.push_back(value.is<Undefined>() && bound[1] ? *bound[1] : std::move(value));
    }
    return make_list(std::move(values), runtime.budget);
  }
  const std::string& name = text_of(args.positional[0], "map").bytes();
  const Native filter = find_filter(name);
  if (!filter) fail("map: unknown filter \"{}\"", name.substr(0, 80));
  const Args rest{{args.positional.begin() + 1, args.positional.end()}, args.named};
  const Budget::Level level(runtime.budget);  // map may apply map
  for (const Value& item : items->items) {
    runtime.budget.charge_steps();
    values.push_back(filter(item, rest, runtime));
  }
  return make_list(std::move(values), runtime.budget);
}

// Elements, or those whose member, pass (or fail) the test that the arguments name; without a test, are true.
template <bool is_kept, bool of_member>
Value choose(const Value& self, const Args& args, Runtime& runtime) {
  constexpr std::size_t kTestAt = of_member ? 1 : 0;
  if (args.positional.size() < kTestAt) fail("selectattr and rejectattr need the name of a member");
  TestFunction test = nullptr;
  Args rest;
  if (args.positional.size() > kTestAt) {
    const std::string& name = text_of(args.positional[kTestAt], "select").bytes();
    test = find_test(name);
    if (!test) fail("select: unknown test \"{}\"", name.substr(0, 80));
    rest = {{args.positional.begin() + kTestAt + 1, args.positional.end()}, args.named};
  }
  std::vector<Value> values;
  const ListPtr all = elements(self, runtime.budget);
  for (const Value& item : all->items) {
    runtime.budget.charge_steps();
    const Value tested = of_member ? member_path(item, args.positional[0], runtime) : item;
    if ((test ? test(tested, rest, runtime) : is_true(tested)) == is_kept) values.push_back(item);
  }
  return make_list(std::move(values), runtime.budget);
}

template <bool is_max>
Value extreme(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "min and max", {"case_sensitive", "attribute"});
  std::optional<std::pair<Value, Value>> best;
  const ListPtr all = elements(self, runtime.budget);
  for (const Value& item : all->items) {
    Value key = sort_key(item, bound[1], bool_or(bound[0], false), runtime);
    const bool is_better =
        !best || (is_max ? less(best->first, key, runtime.budget) : less(key, best->first, runtime.budget));
    if (is_better) best = {std::move(key), item};
  }
  return best ? best->second : make_undefined("an empty list has no least or greatest element");
}

Value batch(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "batch", {"linecount", "fill_with"}, 1);
  const std::int64_t size = int_or(bound[0], "batch", 1);
  if (size < 1) fail("batch needs a size of at least 1, got {}", size);
  if (bound[1]) runtime.budget.check_text_size(static_cast<std::size_t>(size));
  std::vector<Value> batches, batch_items;
  const ListPtr all = elements(self, runtime.budget);
  for (const Value& item : all->items) {
    batch_items.push_back(item);
    if (static_cast<std::int64_t>(batch_items.size()) < size) continue;
    batches.push_back(make_list(std::exchange(batch_items, {}), runtime.budget));
  }
  if (!batch_items.empty()) {
    if (bound[1]) batch_items.resize(static_cast<std::size_t>(size), *bound[1]);
    batches.push_back(make_list(std::move(batch_items), runtime.budget));
  }
  return make_list(std::move(batches), runtime.budget);
}

}  // namespace

std::span<const NativeEntry> list_filters() {
  static constexpr NativeEntry kFilters[] = {
      {"batch", batch},
      {"count", length_filter},
      {"dictsort", dictsort},
      {"first", first},
      {"items", items},
      {"last", last},
      {"length", length_filter},
      {"list", list},
      {"map", map},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reject", choose<false, false>},
      {"rejectattr", choose<false, true>},
      {"reverse", reverse},
      {"select", choose<true, false>},
      {"selectattr", choose<true, true>},
      {"sort", sort},
      {"unique", unique},
  };
  return kFilters;
}

}  // namespace quire::jinja
