#include "text/pattern_syntax.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <vector>

#include "base/check.h"
#include "text/utf8.h"

namespace quire {
namespace {

constexpr int kMaxRepeats = 1000;  // bounds what one element can scan between two steps of the match budget
constexpr std::size_t kMaxDepth = 64;  // of groups

CodePointSet property(const char* name) { return find_property(name).value(); }

CodePointSet spaces() {
  CodePointSet set = {{'\t', '\r' + 1}, {' ', ' ' + 1}, {0x85, 0x86}};
  set.add(property("z"));
  return set;
}

// Letters, marks, digits, letter-like numbers and connectors, and the circled and squared letters. Outside of
// a class, Oniguruma's \w and \b also count the superscripts and fractions of Latin-1.
CodePointSet word_chars(bool is_in_class) {
  CodePointSet set = {{0x24b6, 0x24ea}, {0x1f130, 0x1f14a}, {0x1f150, 0x1f16a}, {0x1f170, 0x1f18a}};
  for (const char* category : {"l", "m", "nd", "nl", "pc"}) set.add(property(category));
  if (!is_in_class) set.add({{0xb2, 0xb4}, {0xb9, 0xba}, {0xbc, 0xbf}});
  return set;
}

CodePointSet hex_digits() { return {{'0', '9' + 1}, {'A', 'F' + 1}, {'a', 'f' + 1}}; }

// Stands in a pattern for a set, until all sets are known: the mark, then the set's number in three bytes
// that are no syntax.
constexpr char kSetMark = '\1';

std::string set_reference(std::size_t idx) {
  std::string text(1, kSetMark);
  for (const int shift : {12, 6, 0}) text += static_cast<char>(0x80 | (idx >> shift & 63));
  return text;
}

std::string byte_class(std::string_view bytes) {
  if (bytes.empty()) return "(?!)";
  if (bytes.size() == 1) return fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
  std::string text = "[";
  for (std::size_t i = 0; i < bytes.size();) {
    const auto first = static_cast<unsigned char>(bytes[i]);
    std::size_t num = 1;
    while (i + num < bytes.size() && static_cast<unsigned char>(bytes[i + num]) == first + num) ++num;
    text += fmt::format("\\x{:02x}", first);
    if (num > 1) text += fmt::format("-\\x{:02x}", first + num - 1);
    i += num;
  }
  return text + "]";
}

// The sets of a pattern, each kept once.
class SetList {
 public:
  std::string reference(const CodePointSet& set) {
    const auto found = std::find(sets_.begin(), sets_.end(), set);
    const auto idx = static_cast<std::size_t>(found - sets_.begin());
    if (found == sets_.end() && sets_.size() < kMaxSets) sets_.push_back(set);
    are_few_ &= idx < kMaxSets;
    return set_reference(are_few_ ? idx : 0);
  }

  // Puts the classes of their characters in the place of the sets.
  BytePattern finish(std::string_view pattern, const std::string& where) const {
    BytePattern result{CharClasses(sets_), {}};
    QUIRE_CHECK_KIND(kUnsupported, are_few_ && result.classes.are_few(),
                     "{}: the pattern tells more than {} kinds of characters apart", where,
                     CharClasses::kMaxClasses);
    std::vector<std::string> texts;
    for (const CodePointSet& set : sets_) texts.push_back(byte_class(result.classes.members(set)));
    for (std::size_t at = 0; at < pattern.size();) {
      if (pattern[at] != kSetMark) {
        result.pcre2 += pattern[at++];
        continue;
      }
      std::size_t idx = 0;
      for (std::size_t i = 1; i <= 3; ++i)
        idx = idx << 6 | (static_cast<unsigned char>(pattern[at + i]) & 63u);
      result.pcre2 += texts[idx];
      at += 4;
    }
    return result;
  }

 private:
  static constexpr std::size_t kMaxSets = 1024;
  std::vector<CodePointSet> sets_;
  bool are_few_ = true;
};

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  BytePattern run() {
    while (!at_end()) translate_next();
    if (!groups_.empty()) corrupt("a group is not closed");
    return sets_.finish(out_, where_);
  }

 private:
  bool at_end() const { return at_ >= in_.size(); }
  bool looking_at(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  bool accept(std::string_view text) {
    if (!looking_at(text)) return false;
    at_ += text.size();
    return true;
  }
  char32_t take_char() {
    if (at_end()) corrupt("the pattern ends too early");
    const Utf8Char c = decode_utf8(in_, at_);
    at_ += c.num_bytes;
    return c.code_point;
  }

  [[noreturn]] void corrupt(std::string_view problem) const {
    throw_error(ErrorKind::kCorruptFile, "{}: pattern \"{}\", byte {}: {}", where_, shorten(in_, 200), at_,
                problem);
  }
  [[noreturn]] void unsupported(std::string_view construct) const {
    throw_error(ErrorKind::kUnsupported, "{}: pattern \"{}\", byte {}: {} is not supported", where_,
                shorten(in_, 200), at_, construct);
  }

  void translate_next() {
    if (accept("(")) return open_group();
    if (accept(")")) return close_group();
    if (accept("|")) return add_non_atom("|");
    if (accept("^")) return add_non_atom("^");
    if (accept("$")) return add_non_atom("$");
    if (looking_at("*") || looking_at("+") || looking_at("?")) return translate_quantifier();
    if (looking_at("{") && translate_interval()) return;
    if (accept("\\")) return translate_escape();
    if (accept("[")) return translate_class();
    if (accept(".")) return add_atom(CodePointSet{{'\n', '\n' + 1}}.complement());
    add_literal(take_char());
  }

  void begin_atom() { atom_begin_ = out_.size(); }
  void add_atom(std::string_view text) {
    begin_atom();
    out_ += text;
  }
  void add_atom(const CodePointSet& set) { add_atom(sets_.reference(set)); }
  void add_literal(char32_t c) {
    CodePointSet set = {{c, c + 1}};
    if (ignores_case_) set.add_other_cases();
    add_atom(set);
  }
  void add_non_atom(std::string_view text) {
    out_ += text;
    atom_begin_.reset();
  }

  // Captures are never read, so every plain group becomes a cluster. Case is a matter of our sets, so the
  // group that changes it is a cluster too.
  void open_group() {
    if (groups_.size() >= kMaxDepth) unsupported("a deeper nesting of groups");
    const Group group = {out_.size(), ignores_case_};
    if (!accept("?")) {
      out_ += "(?:";
    } else if (accept("i)")) {
      // Elsewhere the two dialects let it reach different alternatives.
      if (group.begin != 0) unsupported("(?i) after the start");
      ignores_case_ = true;
      return;
    } else if (looking_at("<") && !looking_at("<=") && !looking_at("<!")) {
      const std::size_t end = in_.find('>', at_);
      if (end == in_.npos) corrupt("the name of a group is not closed");
      at_ = end + 1;
      out_ += "(?:";
    } else if (accept("i:")) {
      ignores_case_ = true;
      out_ += "(?:";
    } else if (accept("-i:")) {
      ignores_case_ = false;
      out_ += "(?:";
    } else {
      constexpr std::array kSame = {":", "=", "!", ">", "<=", "<!"};
      const auto same = std::find_if(kSame.begin(), kSame.end(), [this](const char* s) { return accept(s); });
      if (same == kSame.end()) unsupported("this kind of group");
      out_.append("(?").append(*same);
    }
    groups_.push_back(group);
    atom_begin_.reset();
  }

  void close_group() {
    if (groups_.empty()) corrupt("\")\" closes nothing");
    out_ += ')';
    atom_begin_ = groups_.back().begin;
    ignores_case_ = groups_.back().outer_ignores_case;
    groups_.pop_back();
  }

  void check_atom() const {
    if (!atom_begin_) unsupported("a quantifier without something to repeat, or after another one,");
  }

  void translate_quantifier() {
    check_atom();
    out_ += in_[at_++];
    if (accept("?")) {
      out_ += '?';
    } else if (accept("+")) {
      out_ += '+';
    }
    atom_begin_.reset();
  }

  std::optional<int> take_number() {
    if (at_end() || std::isdigit(static_cast<unsigned char>(in_[at_])) == 0) return std::nullopt;
    int number = 0;
    while (!at_end() && std::isdigit(static_cast<unsigned char>(in_[at_])) != 0) {
      number = number * 10 + (in_[at_++] - '0');
      if (number > kMaxRepeats) unsupported(fmt::format("a repetition of more than {}", kMaxRepeats));
    }
    return number;
  }

  // {n}, {n,}, {,m} or {n,m}; returns false, at the same place, when the brace is plain text.
  bool translate_interval() {
    const std::size_t begin = at_;
    ++at_;
    const std::optional<int> min = take_number();
    const bool is_exact = !accept(",");
    const std::optional<int> max = is_exact ? min : take_number();
    if ((!min && !max) || !accept("}")) {
      at_ = begin;
      return false;
    }
    check_atom();
    if (max && max < min) unsupported("{n,m} with n above m");
    if (is_exact && looking_at("?")) unsupported("{n}?");
    out_ += fmt::format("{{{}", min.value_or(0));
    if (!is_exact) out_ += ',';
    if (!is_exact && max) out_ += std::to_string(*max);
    out_ += '}';
    if (accept("?")) {
      out_ += '?';
    } else if (accept("+")) {  // not possessive here, but a repetition of the repetition
      out_.insert(*atom_begin_, "(?:");
      out_ += ")+";
    }
    atom_begin_.reset();
    return true;
  }

  void translate_escape() {
    const std::size_t begin = at_;
    const char32_t c = take_char();
    switch (c) {
      case 's':
        return add_atom(spaces());
      case 'S':
        return add_atom(spaces().complement());
      case 'w':
        return add_atom(word_chars(false));
      case 'W':
        return add_atom(word_chars(false).complement());
      case 'd':
        return add_atom(property("nd"));
      case 'D':
        return add_atom(property("nd").complement());
      case 'h':
        return add_atom(hex_digits());
      case 'H':
        return add_atom(hex_digits().complement());
      case 'p':
      case 'P':
        return add_atom(take_property(c == 'P'));
      case 'R':
        return add_line_end();
      case 'b':
        return add_word_bound("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))");
      case 'B':
        return add_word_bound("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))");
      case 'A':
        return add_non_atom("\\A");
      case 'z':
        return add_non_atom("\\z");
      case 'Z':
        return add_non_atom("\\Z");
      default:
        at_ = begin;
        add_literal(take_escaped_char());
    }
  }

  void add_line_end() {
    const CodePointSet ends = {{'\n', '\r' + 1}, {0x85, 0x86}, {0x2028, 0x202a}};
    add_atom(fmt::format("(?>{}{}|{})", sets_.reference({{'\r', '\r' + 1}}),
                         sets_.reference({{'\n', '\n' + 1}}), sets_.reference(ends)));
  }

  // {0} in `format` is a character of a word.
  void add_word_bound(const char* format) {
    add_non_atom(fmt::format(fmt::runtime(format), sets_.reference(word_chars(false))));
  }

  // What follows a backslash and means one character.
  char32_t take_escaped_char() {
    const char32_t c = take_char();
    switch (c) {
      case 't':
        return '\t';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case 'a':
        return '\a';
      case 'e':
        return 0x1B;
      case 'u':
        return take_hex(4, 4);
      case 'x':
        return take_hex_escape();
      default:
        break;
    }
    if (c < 0x80 && std::isalnum(static_cast<int>(c)) != 0)
      unsupported(fmt::format("\\{}", static_cast<char>(c)));
    return c;
  }

  char32_t take_hex_escape() {
    if (!accept("{")) return take_hex(1, 2);
    const char32_t c = take_hex(1, 8);
    if (!accept("}")) corrupt("\\x{ is not closed");
    return c;
  }

  char32_t take_hex(int min_digits, int max_digits) {
    char32_t c = 0;
    int num_digits = 0;
    for (; num_digits < max_digits && !at_end(); ++num_digits, ++at_) {
      const int digit = in_[at_];
      if (std::isxdigit(static_cast<unsigned char>(digit)) == 0) break;
      c = c << 4 | static_cast<char32_t>(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    const bool is_scalar = c < 0xD800 || (c > 0xDFFF && c <= 0x10FFFF);
    if (num_digits < min_digits || !is_scalar) corrupt("this is no code point");
    return c;
  }

  // {Name} or {^Name} after \p or \P: a general category or a script.
  CodePointSet take_property(bool is_negated) {
    if (!accept("{")) unsupported("\\p without braces");
    if (accept("^")) is_negated = !is_negated;
    std::string name;
    while (!accept("}")) {
      const char32_t c = take_char();
      const bool is_name =
          c == '_' || c == '-' || c == ' ' || (c < 0x80 && std::isalnum(static_cast<int>(c)) != 0);
      if (!is_name) corrupt("this is no name of a property");
      if (c != '_' && c != '-' && c != ' ') name += static_cast<char>(std::tolower(static_cast<int>(c)));
    }
    const auto set = name == "any" ? CodePointSet{{0, CodePointSet::kEnd}} : find_property(name);
    if (!set) unsupported(fmt::format("the property \"{}\"", shorten(name, 80)));
    return is_negated ? set->complement() : *set;
  }

  // After the bracket. Nested classes without ^ only add their members.
  void translate_class() {
    const bool is_negated = accept("^");
    CodePointSet set;
    int depth = 1;
    bool is_empty = true;
    while (depth > 0) {
      if (looking_at("&&")) unsupported("&& in a class");
      if (looking_at("[:") || looking_at("[^")) unsupported("[: or [^ in a class");
      if (looking_at("]") && is_empty) unsupported("] as the first of a class");
      if (accept("]")) {
        --depth;
      } else if (accept("[")) {
        ++depth;
        is_empty = true;
      } else {
        translate_class_member(set);
        is_empty = false;
      }
    }
    if (ignores_case_) set.add_other_cases();
    add_atom(is_negated ? set.complement() : set);
  }

  void translate_class_member(CodePointSet& set) {
    if (looking_at("\\") && add_set_escape(set)) return;
    const char32_t low = take_class_char();
    const bool is_range = looking_at("-") && at_ + 1 < in_.size() && in_[at_ + 1] != ']';
    if (!is_range) return set.add(low, low + 1);
    ++at_;
    if (looking_at("[")) unsupported("a range that ends with a class");
    const char32_t high = take_class_char();
    if (high < low) corrupt("a range that ends before it starts");
    set.add(low, high + 1);
  }

  char32_t take_class_char() { return accept("\\") ? take_escaped_char() : take_char(); }

  // Adds \s and its like inside a class; returns false, at the same place, when the escape is one character.
  bool add_set_escape(CodePointSet& set) {
    const std::size_t begin = at_;
    ++at_;
    const char32_t c = take_char();
    switch (c) {
      case 's':
        set.add(spaces());
        return true;
      case 'S':
        set.add(spaces().complement());
        return true;
      case 'w':
        set.add(word_chars(true));
        return true;
      case 'd':
        set.add(property("nd"));
        return true;
      case 'D':
        set.add(property("nd").complement());
        return true;
      case 'h':
        set.add(hex_digits());
        return true;
      case 'p':
      case 'P': {
        const CodePointSet members = take_property(c == 'P');
        const bool is_all = members.ranges().empty() || members.complement().ranges().empty();
        if (is_all) unsupported("\\p{Any} in a class");
        set.add(members);
        return true;
      }
      default:
        at_ = begin;
        return false;
    }
  }

  struct Group {
    std::size_t begin;  // in out_
    bool outer_ignores_case;
  };

  std::string_view in_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::string out_;
  SetList sets_;
  std::vector<Group> groups_;
  bool ignores_case_ = false;
  std::optional<std::size_t> atom_begin_;  // in out_: what a quantifier would repeat
};

}  // namespace

BytePattern to_byte_pattern(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

BytePattern to_literal_pattern(std::string_view text, const std::string& where) {
  SetList sets;
  std::string pattern;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    pattern += sets.reference({{c.code_point, c.code_point + 1}});
    at += c.num_bytes;
  }
  return sets.finish(pattern, where);
}

}  // namespace quire
