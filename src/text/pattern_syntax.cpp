#include "text/pattern_syntax.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"
#include "text/utf8.h"

namespace quire {
namespace {

// Insides of character classes. \s and \w are spelled out because PCRE2's own differ (U+180E; marks and Nl).
constexpr const char* kSpace = R"(\t-\r\x20\x{85}\p{Z})";
constexpr const char* kWordInClass =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
constexpr const char* kLatinWordChars = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
constexpr const char* kDigit = R"(\p{Nd})";
constexpr const char* kHexDigit = "0-9a-fA-F";
constexpr const char* kNotSpaceInClass = R"(\S\x{180e})";

// Before 10.40, \p{Han} meant the script; since then it means "used with the script", and sc: asks for the
// script.
constexpr const char* kScriptPrefix = PCRE2_MAJOR > 10 || PCRE2_MINOR >= 40 ? "sc:" : "";

constexpr int kMaxRepeats = 1000;  // bounds what one element can scan between two steps of the match budget
constexpr std::size_t kMaxDepth = 64;  // of groups

constexpr std::array kCategories = {"l",  "lu", "ll", "lt", "lm", "lo", "m",  "mn", "mc", "me",
                                    "n",  "nd", "nl", "no", "p",  "pc", "pd", "ps", "pe", "pi",
                                    "pf", "po", "s",  "sm", "sc", "sk", "so", "z",  "zs", "zl",
                                    "zp", "c",  "cc", "cf", "co", "cs", "cn"};

void append_literal(std::string& out, char32_t c) {
  const bool is_plain = c >= 0x80 || std::isalnum(static_cast<int>(c)) != 0;
  if (is_plain) {
    append_utf8(out, c);
  } else {
    out += fmt::format("\\x{{{:x}}}", static_cast<unsigned>(c));
  }
}

// Outside of a class, Oniguruma's \w and \b also count the superscripts and fractions of Latin-1 as word
// characters.
std::string word_chars() { return std::string(kWordInClass) + kLatinWordChars; }

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string run() {
    while (!at_end()) translate_next();
    if (!group_begins_.empty()) corrupt("a group is not closed");
    return std::move(out_);
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
    begin_atom();
    if (accept("[")) return translate_class();
    if (accept(".")) {
      out_ += '.';
    } else {
      append_literal(out_, take_char());
    }
  }

  void begin_atom() { atom_begin_ = out_.size(); }
  void add_atom(std::string_view text) {
    begin_atom();
    out_ += text;
  }
  void add_non_atom(std::string_view text) {
    out_ += text;
    atom_begin_.reset();
  }

  // Captures are never read, so every plain group becomes a cluster.
  void open_group() {
    if (group_begins_.size() >= kMaxDepth) unsupported("a deeper nesting of groups");
    const std::size_t begin = out_.size();
    if (!accept("?")) {
      out_ += "(?:";
    } else if (accept("i)")) {
      // Elsewhere the two dialects let it reach different alternatives.
      if (begin != 0) unsupported("(?i) after the start");
      out_ += "(?i)";
      return;
    } else if (looking_at("<") && !looking_at("<=") && !looking_at("<!")) {
      const std::size_t end = in_.find('>', at_);
      if (end == in_.npos) corrupt("the name of a group is not closed");
      at_ = end + 1;
      out_ += "(?:";
    } else {
      constexpr std::array kSame = {":", "=", "!", ">", "<=", "<!", "i:", "-i:"};
      const auto same = std::find_if(kSame.begin(), kSame.end(), [this](const char* s) { return accept(s); });
      if (same == kSame.end()) unsupported("this kind of group");
      out_.append("(?").append(*same);
    }
    group_begins_.push_back(begin);
    atom_begin_.reset();
  }

  void close_group() {
    if (group_begins_.empty()) corrupt("\")\" closes nothing");
    out_ += ')';
    atom_begin_ = group_begins_.back();
    group_begins_.pop_back();
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
        return add_atom(fmt::format("[{}]", kSpace));
      case 'S':
        return add_atom(fmt::format("[^{}]", kSpace));
      case 'w':
        return add_atom(fmt::format("[{}]", word_chars()));
      case 'W':
        return add_atom(fmt::format("[^{}]", word_chars()));
      case 'd':
        return add_atom(fmt::format("[{}]", kDigit));
      case 'D':
        return add_atom(fmt::format("[^{}]", kDigit));
      case 'h':
        return add_atom(fmt::format("[{}]", kHexDigit));
      case 'H':
        return add_atom(fmt::format("[^{}]", kHexDigit));
      case 'p':
      case 'P':
        return add_atom(take_property(c == 'P'));
      case 'R':
        return add_atom(R"((?>\r\n|[\n-\r\x{85}\x{2028}\x{2029}]))");
      case 'b':
        return add_non_atom(fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", word_chars()));
      case 'B':
        return add_non_atom(fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", word_chars()));
      case 'A':
        return add_non_atom("\\A");
      case 'z':
        return add_non_atom("\\z");
      case 'Z':
        return add_non_atom("\\Z");
      default:
        at_ = begin;
        begin_atom();
        append_literal(out_, take_escaped_char());
    }
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
  std::string take_property(bool is_negated) {
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
    const bool is_category = std::find(kCategories.begin(), kCategories.end(), name) != kCategories.end();
    if (is_category) name[0] = static_cast<char>(std::toupper(name[0]));
    if (name == "any") return is_negated ? "[^\\x{0}-\\x{10ffff}]" : "[\\x{0}-\\x{10ffff}]";
    return fmt::format("\\{}{{{}{}}}", is_negated ? 'P' : 'p', is_category ? "" : kScriptPrefix, name);
  }

  // After the bracket. Nested classes without ^ only add their members, so they are written flat.
  void translate_class() {
    out_ += '[';
    if (accept("^")) out_ += '^';
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
        translate_class_member();
        is_empty = false;
      }
    }
    out_ += ']';
  }

  void translate_class_member() {
    if (looking_at("\\") && add_set_escape()) return;
    const char32_t low = take_class_char();
    append_literal(out_, low);
    const bool is_range = looking_at("-") && at_ + 1 < in_.size() && in_[at_ + 1] != ']';
    if (!is_range) return;
    ++at_;
    if (looking_at("[")) unsupported("a range that ends with a class");
    const char32_t high = take_class_char();
    if (high < low) corrupt("a range that ends before it starts");
    out_ += '-';
    append_literal(out_, high);
  }

  char32_t take_class_char() { return accept("\\") ? take_escaped_char() : take_char(); }

  // Adds \s and its like inside a class; returns false, at the same place, when the escape is one character.
  bool add_set_escape() {
    const std::size_t begin = at_;
    ++at_;
    const char32_t c = take_char();
    switch (c) {
      case 's':
        out_ += kSpace;
        return true;
      case 'S':
        out_ += kNotSpaceInClass;
        return true;
      case 'w':
        out_ += kWordInClass;
        return true;
      case 'd':
        out_ += kDigit;
        return true;
      case 'D':
        out_ += "\\P{Nd}";
        return true;
      case 'h':
        out_ += kHexDigit;
        return true;
      case 'p':
      case 'P': {
        const std::string property = take_property(c == 'P');
        if (property[0] == '[') unsupported("\\p{Any} in a class");
        out_ += property;
        return true;
      }
      default:
        at_ = begin;
        return false;
    }
  }

  std::string_view in_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::string out_;
  std::vector<std::size_t> group_begins_;  // in out_
  std::optional<std::size_t> atom_begin_;  // in out_: what a quantifier would repeat
};

}  // namespace

std::string to_pcre2_pattern(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

std::string to_literal_pattern(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    append_literal(out, c.code_point);
    at += c.num_bytes;
  }
  return out;
}

}  // namespace quire
