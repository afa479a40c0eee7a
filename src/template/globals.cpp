// Functions that every template has.
#include "template/natives.h"
#include "template/value_text.h"

namespace quire::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100'000;  // as Jinja's sandbox

Value raise_exception(const Value&, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "raise_exception", {"message"}, 1);
  const std::string message = to_text(*bound[0], runtime.budget)->bytes();
  fail("{}", message.substr(0, 2000));
}

Value strftime_now(const Value&, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "strftime_now", {"format"}, 1);
  const std::string& format = text_of(*bound[0], "strftime_now").bytes();
  if (format.size() > 256) fail("strftime_now takes formats of at most 256 bytes, got {}", format.size());
  return make_text(format_time(format, runtime.now_s), runtime.budget);
}

Value range(const Value&, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "range", {"start", "stop", "step"}, 1);
  const bool has_start = bound[1].has_value();
  const std::int64_t begin = has_start ? integer_of(*bound[0], "range") : 0;
  const std::int64_t end = integer_of(has_start ? *bound[1] : *bound[0], "range");
  const std::int64_t step = int_or(bound[2], "range", 1);
  if (step == 0) fail("range needs a step that is not 0");
  const double count = (static_cast<double>(end) - static_cast<double>(begin)) / static_cast<double>(step);
  if (count > kMaxRange) fail("range makes more than {} numbers", kMaxRange);
  std::vector<Value> items;
  std::int64_t at = begin;
  while (step > 0 ? at < end : at > end) {
    items.push_back(Value(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return make_list(std::move(items), runtime.budget);
}

// The entries of the first argument, a dict or pairs, and then the named ones.
Dict dict_of(const Args& args, std::string_view what, Runtime& runtime) {
  if (args.positional.size() > 1) fail("{} takes one dict, got {} arguments", what, args.positional.size());
  Dict dict;
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.dict()) {
      dict = *source.dict();
    } else {
      const ListPtr all = elements(source, runtime.budget);
      for (const Value& pair : all->items) {
        const ListPtr parts = elements(pair, runtime.budget);
        if (parts->items.size() != 2) fail("{} needs pairs, got {} values", what, parts->items.size());
        dict.set(parts->items[0], parts->items[1], runtime.budget);
      }
    }
  }
  for (const auto& [name, value] : args.named)
    dict.set(make_text(name, runtime.budget), value, runtime.budget);
  return dict;
}

Value dict(const Value&, const Args& args, Runtime& runtime) {
  return make_dict(dict_of(args, "dict", runtime), runtime.budget);
}

Value make_namespace(const Value&, const Args& args, Runtime& runtime) {
  const Dict members = dict_of(args, "namespace", runtime);
  auto space = std::make_shared<Namespace>();
  runtime.budget.charge_bytes(sizeof(Namespace));
  for (const auto& [key, value] : members.entries()) space->set(text_of(key, "namespace").bytes(), value);
  runtime.namespaces.push_back(space);
  return Value(std::move(space));
}

}  // namespace

Native find_global(std::string_view name) {
  static constexpr NativeEntry kGlobals[] = {
      {"dict", dict},   {"namespace", make_namespace},  {"raise_exception", raise_exception},
      {"range", range}, {"strftime_now", strftime_now},
  };
  for (const NativeEntry& global : kGlobals) {
    if (global.name == name) return global.call;
  }
  return nullptr;
}

}  // namespace quire::jinja
