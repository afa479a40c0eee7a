// Text that knows which of its bytes came from the conversation. Every operation carries the marks along with
// the bytes, so that what a user wrote stays recognisable however a template cuts and joins it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quire::jinja {

class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes, bool is_marked = false);

  const std::string& bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool is_marked(std::size_t at) const { return !marks_.empty() && marks_[at] != 0; }

  Text cut(std::size_t begin, std::size_t end) const;
  void append(std::string_view bytes, bool is_marked);
  void append(const Text& other) { append(other, 0, other.size()); }
  void append(const Text& other, std::size_t begin, std::size_t end);
  // `bytes` stand for bytes of `source` from `at` on, and are marked as that byte is.
  void append_for(std::string_view bytes, const Text& source, std::size_t at) {
    append(bytes, source.is_marked(at));
  }

 private:
  std::string bytes_;
  std::string marks_;  // one for each byte, or empty when no byte is marked
};

// Byte range of a text.
struct Range {
  std::size_t begin, end;
};

// --- Code points. Invalid bytes count as one character each. ---
std::size_t next_char(std::string_view text, std::size_t at);  // begin of the character after the one at `at`
std::int32_t code_point(std::string_view text, std::size_t at);  // -1 where the bytes are not valid UTF-8
std::size_t count_chars(std::string_view text);
std::vector<std::size_t> char_offsets(std::string_view text);  // begin of each character, and the end

// White space as Python's str methods and regular expressions see it.
bool is_space(std::int32_t code_point);
std::size_t skip_space(std::string_view text, std::size_t at);
Range trimmed(std::string_view text, bool at_begin = true, bool at_end = true);
// Without characters that are in `chars`.
Range trimmed(std::string_view text, std::string_view chars, bool at_begin, bool at_end);

// --- Case, by the rules of Unicode for no particular language ---
Text to_upper(const Text& text);
Text to_lower(const Text& text);
Text to_capitalized(const Text& text);  // first character in title case, the others in lower case
Text to_title(const Text& text);        // as str.title(): after anything that has no case, a new word begins
Text to_title_words(const Text& text);  // as Jinja's filter: words begin behind white space and -({[<

// --- Parts ---
// As std::string_view::find, in time that grows with the sum of the lengths, not with their product.
std::size_t find_text(std::string_view text, std::string_view part, std::size_t from);
constexpr std::int64_t kNoLimit = -1;
// At white space, leaving out empty parts; at most `max_splits` cuts, from the end if `is_reverse`.
std::vector<Range> split_at_space(std::string_view text, std::int64_t max_splits, bool is_reverse);
// At each `separator` (not empty).
std::vector<Range> split_at(std::string_view text, std::string_view separator, std::int64_t max_splits,
                            bool is_reverse);
// Lines without their ends, or with them if `keep_ends`.
std::vector<Range> split_lines(std::string_view text, bool keep_ends);
// The first `max_count` occurrences; an empty `old` stands between all characters.
Text replace(const Text& text, std::string_view old, const Text& with, std::int64_t max_count);
// Bytes that `replace` would make.
std::size_t replaced_size(const Text& text, std::string_view old, const Text& with, std::int64_t max_count);

}  // namespace quire::jinja
