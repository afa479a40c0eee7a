#include "template/value_text.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <cmath>

#include "base/stable_sort.h"

namespace quire::jinja {
namespace {

std::string float_text(double number, bool is_json) {
  if (std::isnan(number)) return is_json ? "NaN" : "nan";
  if (std::isinf(number)) return std::string(number < 0 ? "-" : "") + (is_json ? "Infinity" : "inf");
  std::string digits = fmt::format("{}", number);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  return digits;
}

const char* bool_text(bool value) { return value ? "True" : "False"; }

bool is_printable(std::int32_t c) {
  if (c == ' ') return true;
  switch (u_charType(c)) {
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_SURROGATE:
    case U_PRIVATE_USE_CHAR:
    case U_UNASSIGNED:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
    case U_SPACE_SEPARATOR:
      return false;
    default:
      return true;
  }
}

std::string repr_of_char(std::int32_t c, char quote) {
  if (c == quote || c == '\\') return {'\\', static_cast<char>(c)};
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  if (c < 0x100) return fmt::format("\\x{:02x}", c);
  return c < 0x10000 ? fmt::format("\\u{:04x}", c) : fmt::format("\\U{:08x}", c);
}

void append_text_repr(Text& out, const Text& text) {
  const std::string& bytes = text.bytes();
  const bool has_single = bytes.find('\'') != std::string::npos;
  const char quote = has_single && bytes.find('"') == std::string::npos ? '"' : '\'';
  out.append({&quote, 1}, false);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t next = next_char(bytes, at);
    const std::int32_t c = code_point(bytes, at);
    if (c < 0 || (c != quote && c != '\\' && is_printable(c))) {
      out.append(text, at, next);
    } else {
      out.append_for(repr_of_char(c, quote), text, at);
    }
    at = next;
  }
  out.append({&quote, 1}, false);
}

void append_repr(Text& out, const Value& value, Budget& budget);

template <class Range, class Append>
void append_joined(Text& out, const Range& range, std::string_view separator, Append append) {
  bool is_first = true;
  for (const auto& element : range) {
    if (!is_first) out.append(separator, false);
    is_first = false;
    append(element);
  }
}

void append_list_repr(Text& out, const List& list, Budget& budget) {
  out.append(list.is_tuple ? "(" : "[", false);
  append_joined(out, list.items, ", ", [&](const Value& item) { append_repr(out, item, budget); });
  if (list.is_tuple && list.items.size() == 1) out.append(",", false);
  out.append(list.is_tuple ? ")" : "]", false);
}

void append_repr(Text& out, const Value& value, Budget& budget) {
  budget.charge_steps();
  budget.check_text_size(out.size());
  if (const Text* text = value.text()) return append_text_repr(out, *text);
  if (const List* list = value.list()) return append_list_repr(out, *list, budget);
  if (const Dict* dict = value.dict()) {
    out.append("{", false);
    append_joined(out, dict->entries(), ", ", [&](const Dict::Entry& entry) {
      append_repr(out, entry.first, budget);
      out.append(": ", false);
      append_repr(out, entry.second, budget);
    });
    return out.append("}", false);
  }
  if (value.is<Undefined>()) return out.append("Undefined", false);
  out.append(*to_text(value, budget));
}

// Python's json.dumps.
class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  void write(const Value& value, int depth) {
    budget_.charge_steps();
    budget_.check_text_size(out_.size());
    if (const Text* text = value.text()) {
      write_text(*text);
    } else if (const List* list = value.list()) {
      write_all(list->items, "[", "]", depth, [&](const Value& item) { write(item, depth + 1); });
    } else if (const Dict* dict = value.dict()) {
      write_dict(*dict, depth);
    } else {
      write_plain(scalar(value));
    }
  }

  Text take() { return std::move(out_); }

 private:
  void write_plain(std::string_view bytes) { out_.append(bytes, false); }

  static std::string scalar(const Value& value) {
    if (value.is<None>()) return "null";
    if (value.is<bool>()) return *value.get<bool>() ? "true" : "false";
    if (value.is<std::int64_t>()) return fmt::format("{}", *value.get<std::int64_t>());
    if (value.is<double>()) return float_text(*value.get<double>(), true);
    if (value.is<Undefined>())
      fail("tojson: {}", value.get<Undefined>()->why ? *value.get<Undefined>()->why : "undefined");
    fail("tojson: {} has no JSON form", type_name(value));
  }

  void write_dict(const Dict& dict, int depth) {
    std::vector<const Dict::Entry*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      sort_stably(entries, [&](const auto* a, const auto* b) { return less(a->first, b->first, budget_); });
    }
    write_all(entries, "{", "}", depth, [&](const Dict::Entry* entry) {
      if (const Text* key = entry->first.text()) {
        write_text(*key);
      } else {
        write_plain("\"" + scalar(entry->first) + "\"");
      }
      write_plain(style_.key_separator);
      write(entry->second, depth + 1);
    });
  }

  template <class Elements, class Write>
  void write_all(const Elements& elements, std::string_view open, std::string_view close, int depth,
                 Write write_one) {
    write_plain(open);
    bool is_first = true;
    for (const auto& element : elements) {
      if (!is_first) write_plain(style_.item_separator);
      is_first = false;
      new_line(depth + 1);
      write_one(element);
    }
    if (!is_first) new_line(depth);
    write_plain(close);
  }

  void new_line(int depth) {
    if (!style_.indent) return;
    write_plain("\n");
    budget_.charge_bytes(style_.indent->size() * static_cast<std::size_t>(depth));
    for (int i = 0; i < depth; ++i) write_plain(*style_.indent);
  }

  void write_text(const Text& text) {
    const std::string& bytes = text.bytes();
    write_plain("\"");
    for (std::size_t at = 0; at < bytes.size();) {
      const std::int32_t c = code_point(bytes, at);
      const std::size_t next = next_char(bytes, at);
      if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x7F || !style_.ensure_ascii)) {
        out_.append(text, at, next);
      } else {
        out_.append_for(escaped(c), text, at);
      }
      at = next;
    }
    write_plain("\"");
  }

  static std::string escaped(std::int32_t c) {
    static constexpr std::pair<char, const char*> kShort[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"},
                                                              {'\r', "\\r"}, {'\t', "\\t"},  {'\b', "\\b"},
                                                              {'\f', "\\f"}};
    for (const auto& [plain, escape] : kShort) {
      if (c == plain) return escape;
    }
    if (c < 0) return "\\ufffd";
    if (c < 0x10000) return fmt::format("\\u{:04x}", c);
    return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10),
                       0xDC00 + ((c - 0x10000) & 0x3FF));
  }

  const JsonStyle& style_;
  Budget& budget_;
  Text out_;
};

}  // namespace

TextPtr to_text(const Value& value, Budget& budget) {
  if (const auto* text = value.get<TextPtr>()) return *text;
  Text out;
  if (value.list() || value.dict()) {
    append_repr(out, value, budget);
  } else if (value.is<None>()) {
    out.append("None", false);
  } else if (value.is<bool>()) {
    out.append(bool_text(*value.get<bool>()), false);
  } else if (value.is<std::int64_t>()) {
    out.append(fmt::format("{}", *value.get<std::int64_t>()), false);
  } else if (value.is<double>()) {
    out.append(float_text(*value.get<double>(), false), false);
  } else if (!value.is<Undefined>()) {
    out.append(fmt::format("<{}>", type_name(value)), false);
  }
  budget.charge_bytes(out.size());
  return std::make_shared<const Text>(std::move(out));
}

Text to_repr(const Value& value, Budget& budget) {
  Text out;
  append_repr(out, value, budget);
  return out;
}

Text to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  JsonWriter writer(style, budget);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace quire::jinja
