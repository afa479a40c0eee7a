#include "template/marked_text.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace quire::jinja {

Text::Text(std::string bytes, bool is_marked) : bytes_(std::move(bytes)) {
  if (is_marked) marks_.assign(bytes_.size(), 1);
}

Text Text::cut(std::size_t begin, std::size_t end) const {
  Text part;
  part.append(*this, begin, end);
  return part;
}

void Text::append(std::string_view bytes, bool is_marked) {
  if (is_marked && marks_.empty()) marks_.assign(bytes_.size(), 0);
  bytes_ += bytes;
  if (is_marked || !marks_.empty()) marks_.resize(bytes_.size(), is_marked ? 1 : 0);
}

void Text::append(const Text& other, std::size_t begin, std::size_t end) {
  if (other.marks_.empty()) return append(std::string_view(other.bytes_).substr(begin, end - begin), false);
  if (marks_.empty()) marks_.assign(bytes_.size(), 0);
  bytes_.append(other.bytes_, begin, end - begin);
  marks_.append(other.marks_, begin, end - begin);
}

std::int32_t code_point(std::string_view text, std::size_t at) {
  UChar32 c = 0;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const std::size_t end = std::min(text.size(), at + 4);  // offsets count in 32 bits
  std::int32_t offset = 0;
  U8_NEXT(bytes + at, offset, static_cast<std::int32_t>(end - at), c);
  return c;
}

std::size_t next_char(std::string_view text, std::size_t at) {
  const std::int32_t c = code_point(text, at);
  return at + (c < 0 ? 1 : static_cast<std::size_t>(U8_LENGTH(c)));
}

std::size_t count_chars(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at = next_char(text, at)) ++count;
  return count;
}

std::vector<std::size_t> char_offsets(std::string_view text) {
  std::vector<std::size_t> offsets;
  for (std::size_t at = 0; at < text.size(); at = next_char(text, at)) offsets.push_back(at);
  offsets.push_back(text.size());
  return offsets;
}

bool is_space(std::int32_t c) {
  if (c < 0x80) return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(code_point(text, at))) at = next_char(text, at);
  return at;
}

namespace {

// Begin of the character that ends at `end` > 0.
std::size_t previous_char(std::string_view text, std::size_t end) {
  std::size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && U8_IS_TRAIL(static_cast<std::uint8_t>(text[begin]))) --begin;
  return next_char(text, begin) == end ? begin : end - 1;
}

template <class Unwanted>
Range trimmed_if(std::string_view text, bool at_begin, bool at_end, Unwanted unwanted) {
  Range kept{0, text.size()};
  while (at_begin && kept.begin < kept.end) {
    const std::size_t next = next_char(text, kept.begin);
    if (!unwanted({kept.begin, next})) break;
    kept.begin = next;
  }
  while (at_end && kept.begin < kept.end) {
    const std::size_t last = previous_char(text, kept.end);
    if (!unwanted({last, kept.end})) break;
    kept.end = last;
  }
  return kept;
}

}  // namespace

Range trimmed(std::string_view text, bool at_begin, bool at_end) {
  return trimmed_if(text, at_begin, at_end, [&](Range c) { return is_space(code_point(text, c.begin)); });
}

Range trimmed(std::string_view text, std::string_view chars, bool at_begin, bool at_end) {
  return trimmed_if(text, at_begin, at_end, [&](Range c) {
    return chars.find(text.substr(c.begin, c.end - c.begin)) != std::string_view::npos;
  });
}

std::size_t find_text(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<std::size_t>(static_cast<const char*>(found) - text.data())
               : std::string_view::npos;
}

std::vector<Range> split_at_space(std::string_view text, std::int64_t max_splits, bool is_reverse) {
  std::vector<Range> words;
  for (std::size_t at = skip_space(text, 0); at < text.size(); at = skip_space(text, at)) {
    const std::size_t begin = at;
    while (at < text.size() && !is_space(code_point(text, at))) at = next_char(text, at);
    words.push_back({begin, at});
  }
  if (max_splits < 0 || words.size() <= static_cast<std::size_t>(max_splits) + 1) return words;
  const auto kept = static_cast<std::size_t>(max_splits);
  if (is_reverse) {
    // What is left of the cuts is one part; only the white space before the first cut goes.
    const Range rest{0, words[words.size() - kept - 1].end};
    words.erase(words.begin(), words.end() - static_cast<std::ptrdiff_t>(kept));
    words.insert(words.begin(), rest);
  } else {
    const Range rest{words[kept].begin, text.size()};
    words.resize(kept);
    words.push_back(rest);
  }
  return words;
}

std::vector<Range> split_at(std::string_view text, std::string_view separator, std::int64_t max_splits,
                            bool is_reverse) {
  std::vector<Range> parts;
  const auto may_split = [&] {
    return max_splits < 0 || parts.size() < static_cast<std::size_t>(max_splits);
  };
  if (is_reverse) {
    std::size_t end = text.size();
    while (may_split() && end >= separator.size()) {
      const std::size_t found = text.rfind(separator, end - separator.size());
      if (found == std::string_view::npos) break;
      parts.push_back({found + separator.size(), end});
      end = found;
    }
    parts.push_back({0, end});
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  std::size_t begin = 0;
  while (may_split()) {
    const std::size_t found = find_text(text, separator, begin);
    if (found == std::string_view::npos) break;
    parts.push_back({begin, found});
    begin = found + separator.size();
  }
  parts.push_back({begin, text.size()});
  return parts;
}

std::vector<Range> split_lines(std::string_view text, bool keep_ends) {
  const auto is_line_end = [](std::int32_t c) {
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  std::vector<Range> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t next = next_char(text, at);
    if (is_line_end(code_point(text, at))) {
      if (text[at] == '\r' && next < text.size() && text[next] == '\n') ++next;
      lines.push_back({begin, keep_ends ? next : at});
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return lines;
}

namespace {

// Calls `keep(begin, end)` and `insert()` for the parts of the result, in order.
template <class Keep, class Insert>
void walk_replacements(std::string_view text, std::string_view old, std::int64_t max_count, Keep keep,
                       Insert insert) {
  std::int64_t left = max_count < 0 ? std::numeric_limits<std::int64_t>::max() : max_count;
  std::size_t at = 0;
  if (old.empty()) {
    for (; left > 0; --left) {
      insert();
      if (at == text.size()) return;
      const std::size_t next = next_char(text, at);
      keep(at, next);
      at = next;
    }
  }
  for (; left > 0; --left) {
    const std::size_t found = find_text(text, old, at);
    if (found == std::string_view::npos) break;
    keep(at, found);
    insert();
    at = found + old.size();
  }
  keep(at, text.size());
}

}  // namespace

Text replace(const Text& text, std::string_view old, const Text& with, std::int64_t max_count) {
  Text result;
  walk_replacements(
      text.bytes(), old, max_count,
      [&](std::size_t begin, std::size_t end) { result.append(text, begin, end); },
      [&] { result.append(with); });
  return result;
}

std::size_t replaced_size(const Text& text, std::string_view old, const Text& with, std::int64_t max_count) {
  std::size_t num_bytes = 0;
  walk_replacements(
      text.bytes(), old, max_count, [&](std::size_t begin, std::size_t end) { num_bytes += end - begin; },
      [&] { num_bytes += with.size(); });
  return num_bytes;
}

}  // namespace quire::jinja
