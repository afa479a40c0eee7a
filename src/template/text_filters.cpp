// Filters that make text. What is no text is first turned into one, as {{ }} would show it.
#include "template/natives.h"
#include "template/value_text.h"

namespace quire::jinja {
namespace {

Value trim(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "trim", {"chars"});
  const TextPtr text = to_text(self, runtime.budget);
  const bool is_default = !bound[0] || bound[0]->is<None>();
  const Range kept = is_default ? trimmed(text->bytes())
                                : trimmed(text->bytes(), text_of(*bound[0], "trim").bytes(), true, true);
  return make_text(text->cut(kept.begin, kept.end), runtime.budget);
}

template <Text (*map)(const Text&)>
Value map_text(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "a filter of case", {});
  const TextPtr text = to_text(self, runtime.budget);
  runtime.budget.charge_bytes(text->size() * 3);  // the most that changing case can make
  return make_text(map(*text), runtime.budget);
}

Value replace_filter(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "replace", {"old", "new", "count"}, 2);
  const TextPtr text = to_text(self, runtime.budget);
  const TextPtr old = to_text(*bound[0], runtime.budget);
  const TextPtr with = to_text(*bound[1], runtime.budget);
  const std::int64_t count =
      bound[2] && !bound[2]->is<None>() ? int_or(bound[2], "replace", kNoLimit) : kNoLimit;
  runtime.budget.charge_bytes(replaced_size(*text, old->bytes(), *with, count));
  return make_text(replace(*text, old->bytes(), *with, count), runtime.budget);
}

// Lines as they come from a text with one \n added, so that a \n at the end leaves an empty last line.
Value indent(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "indent", {"width", "first", "blank"});
  const TextPtr text = to_text(self, runtime.budget);
  Text margin;
  if (bound[0] && bound[0]->text()) {
    margin = *bound[0]->text();
  } else {
    const std::int64_t width = int_or(bound[0], "indent", 4);
    if (width > 0) runtime.budget.check_text_size(static_cast<std::size_t>(width));
    margin.append(std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' '), false);
  }
  const bool with_blank = bool_or(bound[2], false);
  std::vector<Range> lines = split_lines(text->bytes(), false);
  if (text->empty() || split_lines(text->bytes().substr(text->size() - 1) + "x", false).size() > 1) {
    lines.push_back({text->size(), text->size()});
  }
  runtime.budget.charge_bytes(text->size() + lines.size() * (margin.size() + 1));
  Text out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.append("\n", false);
    const bool is_blank = lines[i].begin == lines[i].end;
    if (i == 0 ? bool_or(bound[1], false) : with_blank || !is_blank) out.append(margin);
    out.append(*text, lines[i].begin, lines[i].end);
  }
  return make_text(std::move(out), runtime.budget);
}

Value join(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "join", {"d", "attribute"});
  const TextPtr separator = bound[0] ? to_text(*bound[0], runtime.budget) : std::make_shared<const Text>();
  const ListPtr items = elements(self, runtime.budget);
  Text out;
  for (std::size_t i = 0; i < items->items.size(); ++i) {
    Value item = items->items[i];
    if (bound[1]) item = attribute(item, text_of(*bound[1], "join").bytes(), runtime);
    if (i > 0) out.append(*separator);
    out.append(*to_text(item, runtime.budget));
    runtime.budget.check_text_size(out.size());
  }
  return make_text(std::move(out), runtime.budget);
}

Value tojson(const Value& self, const Args& args, Runtime& runtime) {
  const Bound bound = bind(args, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bool_or(bound[0], false);
  style.sort_keys = bool_or(bound[3], false);
  if (bound[1] && !bound[1]->is<None>()) {
    if (const Text* margin = bound[1]->text()) {
      style.indent = margin->bytes();
    } else {
      const std::int64_t width = integer_of(*bound[1], "tojson");
      if (width > 100) fail("tojson indents by at most 100, got {}", width);
      style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
    }
    style.item_separator = ",";
  }
  if (bound[2] && !bound[2]->is<None>()) {
    const List* separators = bound[2]->list();
    if (!separators || separators->items.size() != 2) fail("tojson needs two separators");
    style.item_separator = text_of(separators->items[0], "tojson").bytes();
    style.key_separator = text_of(separators->items[1], "tojson").bytes();
  }
  return make_text(to_json(self, style, runtime.budget), runtime.budget);
}

Value string(const Value& self, const Args& args, Runtime& runtime) {
  bind(args, "string", {});
  return Value(to_text(self, runtime.budget));
}

Value format(const Value& self, const Args& args, Runtime& runtime) {
  if (!args.named.empty()) fail("the filter format takes no named arguments here");
  const TextPtr text = to_text(self, runtime.budget);
  return format_percent(*text, make_list(args.positional, runtime.budget, true), runtime.budget);
}

}  // namespace

std::span<const NativeEntry> text_filters() {
  static constexpr NativeEntry kFilters[] = {
      {"capitalize", map_text<to_capitalized>},
      {"format", format},
      {"indent", indent},
      {"join", join},
      {"lower", map_text<to_lower>},
      {"replace", replace_filter},
      {"safe", string},
      {"string", string},
      {"title", map_text<to_title_words>},
      {"tojson", tojson},
      {"trim", trim},
      {"upper", map_text<to_upper>},
  };
  return kFilters;
}

}  // namespace quire::jinja
