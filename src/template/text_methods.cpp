// Python's methods of str, as far as templates use them.
#include <unicode/uchar.h>

#include "template/natives.h"
#include "template/value_text.h"

namespace quire::jinja {
namespace {

const Text& self_text(const Value& self) { return *self.text(); }  // methods are found by the kind of value

template <Text (*map)(const Text&)>
Value map_method(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "a method of case", {});
  runtime.budget.charge_bytes(self_text(self).size() * 3);
  return make_text(map(self_text(self)), runtime.budget);
}

Value cut(const Text& text, Range range, Runtime& runtime) {
  return make_text(text.cut(range.begin, range.end), runtime.budget);
}

template <bool at_begin, bool at_end>
Value strip(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "strip", {"chars"});
  const Text& text = self_text(self);
  const bool is_default = !bound[0] || bound[0]->is<None>();
  return cut(text,
             is_default ? trimmed(text.bytes(), at_begin, at_end)
                        : trimmed(text.bytes(), text_of(*bound[0], "strip").bytes(), at_begin, at_end),
             runtime);
}

Value parts(const Text& text, const std::vector<Range>& ranges, Runtime& runtime) {
  runtime.budget.charge_bytes(ranges.size() * sizeof(Text));
  std::vector<Value> values;
  values.reserve(ranges.size());
  for (const Range range : ranges) values.push_back(cut(text, range, runtime));
  return make_list(std::move(values), runtime.budget);
}

template <bool is_reverse>
Value split(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "split", {"sep", "maxsplit"});
  const Text& text = self_text(self);
  const std::int64_t max_splits = int_or(bound[1], "split", kNoLimit);
  if (!bound[0] || bound[0]->is<None>()) {
    return parts(text, split_at_space(text.bytes(), max_splits, is_reverse), runtime);
  }
  const std::string& separator = text_of(*bound[0], "split").bytes();
  if (separator.empty()) fail("split needs a separator that is not empty");
  if (is_reverse)
    runtime.budget.charge_steps(static_cast<std::int64_t>(text.size() * separator.size() / 1024));
  return parts(text, split_at(text.bytes(), separator, max_splits, is_reverse), runtime);
}

Value splitlines(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "splitlines", {"keepends"});
  return parts(self_text(self), split_lines(self_text(self).bytes(), bool_or(bound[0], false)), runtime);
}

template <bool is_reverse>
Value partition(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "partition", {"sep"}, 1);
  const Text& text = self_text(self);
  const Text& separator = text_of(*bound[0], "partition");
  if (separator.empty()) fail("partition needs a separator that is not empty");
  if (is_reverse)
    runtime.budget.charge_steps(static_cast<std::int64_t>(text.size() * separator.size() / 1024));
  const std::vector<Range> ranges = split_at(text.bytes(), separator.bytes(), 1, is_reverse);
  const Value none = make_text("", runtime.budget);
  if (ranges.size() == 1) {
    if (is_reverse) return make_list({none, none, self}, runtime.budget, true);
    return make_list({self, none, none}, runtime.budget, true);
  }
  return make_list({cut(text, ranges[0], runtime), cut(text, {ranges[0].end, ranges[1].begin}, runtime),
                    cut(text, ranges[1], runtime)},
                   runtime.budget, true);
}

// Any of several prefixes may be given in a tuple.
template <bool at_end>
Value has_affix(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, at_end ? "endswith" : "startswith", {"affix"}, 1);
  const std::string& text = self_text(self).bytes();
  const auto fits = [&](const Value& affix) {
    const std::string& bytes = text_of(affix, at_end ? "endswith" : "startswith").bytes();
    return at_end ? text.ends_with(bytes) : text.starts_with(bytes);
  };
  if (!bound[0]->list() || !bound[0]->list()->is_tuple) return Value(fits(*bound[0]));
  for (const Value& affix : bound[0]->list()->items) {
    runtime.budget.charge_steps();
    if (fits(affix)) return Value(true);
  }
  return Value(false);
}

template <bool at_end>
Value without_affix(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, at_end ? "removesuffix" : "removeprefix", {"affix"}, 1);
  const Text& text = self_text(self);
  const std::string& affix = text_of(*bound[0], "removeprefix").bytes();
  Range kept{0, text.size()};
  if (at_end && text.bytes().ends_with(affix)) kept.end -= affix.size();
  if (!at_end && text.bytes().starts_with(affix)) kept.begin += affix.size();
  return cut(text, kept, runtime);
}

Value replace_method(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "replace", {"old", "new", "count"}, 2);
  const Text& old = text_of(*bound[0], "replace");
  const Text& with = text_of(*bound[1], "replace");
  const std::int64_t count = int_or(bound[2], "replace", kNoLimit);
  runtime.budget.charge_bytes(replaced_size(self_text(self), old.bytes(), with, count));
  return make_text(replace(self_text(self), old.bytes(), with, count), runtime.budget);
}

// In characters; -1, or an error if it must be there.
template <bool is_reverse, bool must_exist>
Value find(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "find", {"sub"}, 1);
  const std::string& text = self_text(self).bytes();
  const std::string& part = text_of(*bound[0], "find").bytes();
  runtime.budget.charge_steps(
      static_cast<std::int64_t>(text.size() * (is_reverse ? part.size() + 1 : 1) / 1024));
  const std::size_t at = is_reverse ? text.rfind(part) : find_text(text, part, 0);
  if (at != std::string::npos)
    return Value(static_cast<std::int64_t>(count_chars(std::string_view(text).substr(0, at))));
  if (must_exist) fail("index: the text does not contain \"{}\"", part.substr(0, 80));
  return Value(std::int64_t{-1});
}

Value count(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "count", {"sub"}, 1);
  const Text& text = self_text(self);
  const std::string& part = text_of(*bound[0], "count").bytes();
  if (part.empty()) return Value(length(self) + 1);
  runtime.budget.charge_bytes(text.size());
  return Value(static_cast<std::int64_t>(split_at(text.bytes(), part, kNoLimit, false).size()) - 1);
}

Value join_method(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "join", {"iterable"}, 1);
  Text out;
  bool is_first = true;
  const ListPtr all = elements(*bound[0], runtime.budget);
  for (const Value& item : all->items) {
    if (!is_first) out.append(self_text(self));
    is_first = false;
    out.append(text_of(item, "join"));
    runtime.budget.check_text_size(out.size());
  }
  return make_text(std::move(out), runtime.budget);
}

// Every character passes, and there is one.
template <bool (*check)(std::int32_t)>
Value all_chars(const Value& self, const Args& args, Runtime&) {
  bind(args, "a method of characters", {});
  const std::string& text = self_text(self).bytes();
  for (std::size_t at = 0; at < text.size(); at = next_char(text, at)) {
    if (!check(code_point(text, at))) return Value(false);
  }
  return Value(!text.empty());
}

bool is_digit(std::int32_t c) { return c >= 0 && u_charType(c) == U_DECIMAL_DIGIT_NUMBER; }
bool is_letter(std::int32_t c) { return c >= 0 && u_isalpha(c); }
bool is_letter_or_digit(std::int32_t c) { return is_letter(c) || is_digit(c); }

template <bool is_upper>
Value has_case(const Value& self, const Args& args, Runtime& runtime) {
  return Value(find_test(is_upper ? "upper" : "lower")(self, args, runtime));
}

// {} {0} {name} and doubled braces; how a value is shown cannot be asked for.
Value format_method(const Value& self, const Args& args, Runtime& runtime) {
  const Text& text = self_text(self);
  const std::string& bytes = text.bytes();
  Text out;
  std::size_t next_arg = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const char c = bytes[at];
    if (c != '{' && c != '}') {
      const std::size_t end = std::min(bytes.find_first_of("{}", at), bytes.size());
      out.append(text, at, end);
      at = end;
      continue;
    }
    if (at + 1 < bytes.size() && bytes[at + 1] == c) {
      out.append(text, at, at + 1);
      at += 2;
      continue;
    }
    const std::size_t close = c == '{' ? bytes.find('}', at) : std::string::npos;
    if (close == std::string::npos) fail("format: a single \"{}\" in \"{}\"", c, bytes.substr(0, 80));
    const std::string field = bytes.substr(at + 1, close - at - 1);
    const bool is_index = field.find_first_not_of("0123456789") == std::string::npos && field.size() < 9;
    const std::size_t index = !is_index       ? args.positional.size()
                              : field.empty() ? next_arg++
                                              : std::stoul(field);
    const Value* value = index < args.positional.size() ? &args.positional[index] : nullptr;
    for (const auto& [name, named] : args.named) {
      if (!is_index && name == field) value = &named;
    }
    if (!value) fail("format: nothing for the field \"{}\"", field.substr(0, 80));
    out.append(*to_text(*value, runtime.budget));
    runtime.budget.check_text_size(out.size());
    at = close + 1;
  }
  return make_text(std::move(out), runtime.budget);
}

}  // namespace

Native find_text_method(std::string_view name) {
  static constexpr NativeEntry kMethods[] = {
      {"capitalize", map_method<to_capitalized>},
      {"count", count},
      {"endswith", has_affix<true>},
      {"find", find<false, false>},
      {"format", format_method},
      {"index", find<false, true>},
      {"isalnum", all_chars<is_letter_or_digit>},
      {"isalpha", all_chars<is_letter>},
      {"isdigit", all_chars<is_digit>},
      {"islower", has_case<false>},
      {"isspace", all_chars<is_space>},
      {"isupper", has_case<true>},
      {"join", join_method},
      {"lower", map_method<to_lower>},
      {"lstrip", strip<true, false>},
      {"partition", partition<false>},
      {"removeprefix", without_affix<false>},
      {"removesuffix", without_affix<true>},
      {"replace", replace_method},
      {"rfind", find<true, false>},
      {"rindex", find<true, true>},
      {"rpartition", partition<true>},
      {"rsplit", split<true>},
      {"rstrip", strip<false, true>},
      {"split", split<false>},
      {"splitlines", splitlines},
      {"startswith", has_affix<false>},
      {"strip", strip<true, true>},
      {"title", map_method<to_title>},
      {"upper", map_method<to_upper>},
  };
  for (const NativeEntry& method : kMethods) {
    if (method.name == name) return method.call;
  }
  return nullptr;
}

}  // namespace quire::jinja
