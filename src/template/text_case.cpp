// Upper, lower and title case of marked text, by ICU.
#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>

#include "template/marked_text.h"

namespace quire::jinja {
namespace {

enum class Case { kUpper, kLower, kTitle };

std::string mapped(std::string_view bytes, Case to) {
  std::string result;
  icu::StringByteSink<std::string> sink(&result, static_cast<std::int32_t>(bytes.size()));
  const icu::StringPiece source(bytes.data(), static_cast<std::int32_t>(bytes.size()));
  UErrorCode status = U_ZERO_ERROR;
  if (to == Case::kUpper) {
    icu::CaseMap::utf8ToUpper("", 0, source, sink, nullptr, status);
  } else {
    icu::CaseMap::utf8ToLower("", 0, source, sink, nullptr, status);
  }
  return U_SUCCESS(status) ? result : std::string(bytes);
}

// Appends text[begin, end) in another case. Equally marked stretches are mapped as a whole, since a letter's
// form may depend on its neighbours.
void append_mapped(Text& out, const Text& text, Range range, Case to) {
  for (std::size_t begin = range.begin; begin < range.end;) {
    const bool is_marked = text.is_marked(begin);
    std::size_t end = begin;
    while (end < range.end && text.is_marked(end) == is_marked) ++end;
    out.append(mapped(std::string_view(text.bytes()).substr(begin, end - begin), to), is_marked);
    begin = end;
  }
}

void append_titled(Text& out, const Text& text, std::size_t at, std::size_t next) {
  const std::int32_t c = code_point(text.bytes(), at);
  const UChar32 title = c < 0 ? c : u_totitle(c);
  if (c < 0 || title == c) {
    // Some letters have a title case of several characters only, which the capital letters begin with.
    Text upper;
    append_mapped(upper, text, {at, next}, Case::kUpper);
    const std::size_t first = upper.empty() ? 0 : next_char(upper.bytes(), 0);
    out.append(upper, 0, first);
    append_mapped(out, upper, {first, upper.size()}, Case::kLower);
    return;
  }
  char bytes[4];
  std::int32_t num_bytes = 0;
  U8_APPEND_UNSAFE(bytes, num_bytes, title);
  out.append(std::string_view(bytes, static_cast<std::size_t>(num_bytes)), text.is_marked(at));
}

}  // namespace

Text to_upper(const Text& text) {
  Text out;
  append_mapped(out, text, {0, text.size()}, Case::kUpper);
  return out;
}

Text to_lower(const Text& text) {
  Text out;
  append_mapped(out, text, {0, text.size()}, Case::kLower);
  return out;
}

Text to_capitalized(const Text& text) {
  Text out;
  if (text.empty()) return out;
  const std::size_t first = next_char(text.bytes(), 0);
  append_titled(out, text, 0, first);
  append_mapped(out, text, {first, text.size()}, Case::kLower);
  return out;
}

Text to_title(const Text& text) {
  const std::string& bytes = text.bytes();
  const auto is_cased = [&](std::size_t at) {
    const std::int32_t c = code_point(bytes, at);
    return c >= 0 && u_hasBinaryProperty(c, UCHAR_CASED);
  };
  Text out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t next = next_char(bytes, at);
    if (!is_cased(at)) {
      out.append(text, at, next);
      at = next;
      continue;
    }
    append_titled(out, text, at, next);
    std::size_t end = next;
    while (end < bytes.size() && is_cased(end)) end = next_char(bytes, end);
    append_mapped(out, text, {next, end}, Case::kLower);
    at = end;
  }
  return out;
}

Text to_title_words(const Text& text) {
  const std::string& bytes = text.bytes();
  const auto is_break = [&](std::size_t at) {
    return is_space(code_point(bytes, at)) ||
           std::string_view("-({[<").find(bytes[at]) != std::string_view::npos;
  };
  Text out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t next = next_char(bytes, at);
    if (is_break(at)) {
      out.append(text, at, next);
      at = next;
      continue;
    }
    append_mapped(out, text, {at, next}, Case::kUpper);
    std::size_t end = next;
    while (end < bytes.size() && !is_break(end)) end = next_char(bytes, end);
    append_mapped(out, text, {next, end}, Case::kLower);
    at = end;
  }
  return out;
}

}  // namespace quire::jinja
