#include "template/lexer.h"

#include <unicode/utf8.h>

#include <algorithm>

#include "base/check.h"
#include "template/marked_text.h"

namespace quire::jinja {
namespace {

constexpr std::string_view kOperators[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Line ends become \n, and one at the very end goes.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalized(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const std::size_t tag = find_tag();
      if (tag == std::string::npos) {
        add_data(rest());
        skip_to(source_.size());
      } else if (source_[tag + 1] == '{') {
        lex_tag(tag, TokenKind::kPrintBegin);
      } else if (source_[tag + 1] == '#') {
        lex_comment(tag);
      } else if (const std::size_t body = raw_body(tag); body != std::string::npos) {
        lex_raw(tag, body);
      } else {
        lex_tag(tag, TokenKind::kBlockBegin);
      }
    }
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view view() const { return source_; }
  std::string_view rest() const { return view().substr(at_); }
  char peek(std::size_t at) const { return at < source_.size() ? source_[at] : '\0'; }
  void add(TokenKind kind, std::string_view text) { tokens_.push_back({kind, std::string(text), line_}); }
  void add_data(std::string_view text) {
    if (!text.empty()) add(TokenKind::kData, text);
  }

  void skip_to(std::size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }

  std::size_t find_tag() const {
    std::size_t tag = source_.find('{', at_);
    while (tag != std::string::npos &&
           std::string_view("{%#").find(peek(tag + 1)) == std::string_view::npos) {
      tag = source_.find('{', tag + 1);
    }
    return tag;
  }

  // The text before a tag at `tag`, without the white space that the tag's sign (or lstrip_blocks) takes
  // away.
  std::string_view text_before(std::size_t tag, std::size_t text_begin) const {
    std::string_view text = view().substr(text_begin, tag - text_begin);
    const char sign = peek(tag + 2);
    if (sign == '-') return text.substr(0, trimmed(text, false, true).end);
    if (sign == '+' || source_[tag + 1] == '{') return text;
    const std::size_t line_begin = text.rfind('\n') + 1;  // npos + 1 is 0
    const bool begins_line = line_begin > 0 || text_begin == 0 || source_[text_begin - 1] == '\n';
    return begins_line && skip_space(text, line_begin) == text.size() ? text.substr(0, line_begin) : text;
  }

  void lex_text_before(std::size_t tag) {
    add_data(text_before(tag, at_));
    skip_to(tag);
    const char sign = peek(tag + 2);
    skip_to(tag + (sign == '-' || sign == '+' ? 3 : 2));
  }

  // Behind the end of a tag: what follows `end` is taken away as the end's sign says.
  void skip_tag_end(char sign, std::size_t end) {
    if (sign == '-') {
      skip_to(skip_space(source_, end));
    } else {
      skip_to(end + (sign != '+' && peek(end) == '\n' ? 1 : 0));
    }
  }

  void lex_comment(std::size_t tag) {
    lex_text_before(tag);
    const std::size_t close = source_.find("#}", at_);
    if (close == std::string::npos) throw_syntax_error(line_, "a comment {# that does not end");
    const char sign = close > at_ ? source_[close - 1] : '\0';
    skip_tag_end(sign, close + 2);
  }

  // Where the text behind {% raw %} begins, if a raw block begins at `tag`.
  std::size_t raw_body(std::size_t tag) const {
    std::size_t at = tag + 2;
    if (peek(at) == '-' || peek(at) == '+') ++at;
    at = skip_space(source_, at);
    if (view().substr(at, 3) != "raw") return std::string::npos;
    at = skip_space(source_, at + 3);
    if (view().substr(at, 2) == "%}") return at + 2;
    return view().substr(at, 3) == "-%}" ? skip_space(source_, at + 3) : std::string::npos;
  }

  void lex_raw(std::size_t tag, std::size_t body) {
    lex_text_before(tag);
    skip_to(body);
    for (std::size_t end = source_.find("{%", at_); end != std::string::npos;
         end = source_.find("{%", end + 1)) {
      std::size_t at = end + 2;
      if (peek(at) == '-' || peek(at) == '+') ++at;
      at = skip_space(source_, at);
      if (view().substr(at, 6) != "endraw") continue;
      at = skip_space(source_, at + 6);
      const char sign = peek(at) == '-' || peek(at) == '+' ? source_[at++] : '\0';
      if (view().substr(at, 2) != "%}") continue;
      add_data(text_before(end, at_));
      return skip_tag_end(sign, at + 2);
    }
    throw_syntax_error(line_, "{% raw %} without {% endraw %}");
  }

  void lex_tag(std::size_t tag, TokenKind kind) {
    lex_text_before(tag);
    add(kind, kind == TokenKind::kPrintBegin ? "{{" : "{%");
    brackets_.clear();
    while (!lex_tag_end(kind)) {
      if (at_ >= source_.size()) {
        throw_syntax_error(
            line_, fmt::format("a tag {} that does not end", kind == TokenKind::kPrintBegin ? "{{" : "{%"));
      }
      lex_word();
    }
  }

  // Consumes }} or %}, with its sign, if it comes next.
  bool lex_tag_end(TokenKind kind) {
    if (!brackets_.empty()) return false;
    const bool is_print = kind == TokenKind::kPrintBegin;
    const std::string_view close = is_print ? "}}" : "%}";
    const char sign = peek(at_);
    const bool has_sign = sign == '-' || (sign == '+' && !is_print);
    if (view().substr(at_ + (has_sign ? 1 : 0), 2) != close) return false;
    add(is_print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd, close);
    const std::size_t end = at_ + (has_sign ? 3 : 2);
    if (is_print && !has_sign) {
      skip_to(end);
    } else {
      skip_tag_end(has_sign ? sign : '\0', end);
    }
    return true;
  }

  void lex_word() {
    const char c = source_[at_];
    if (is_space(code_point(source_, at_))) {
      skip_to(skip_space(source_, at_));
    } else if (is_digit(c)) {
      lex_number();
    } else if (begins_name(c)) {
      std::size_t end = at_;
      while (end < source_.size() && (begins_name(source_[end]) || is_digit(source_[end]))) ++end;
      add(TokenKind::kName, view().substr(at_, end - at_));
      skip_to(end);
    } else if (c == '\'' || c == '"') {
      lex_string(c);
    } else {
      lex_operator();
    }
  }

  std::size_t digits_end(std::size_t at) const {
    while (is_digit(peek(at)) || (peek(at) == '_' && is_digit(peek(at + 1)))) ++at;
    return at;
  }

  void lex_number() {
    std::size_t end = at_;
    bool is_float = false;
    const char base = static_cast<char>(peek(at_ + 1) | 0x20);
    if (source_[at_] == '0' && (base == 'x' || base == 'o' || base == 'b')) {
      end = at_ + 2;
      while (begins_name(peek(end)) || is_digit(peek(end))) ++end;
    } else {
      end = digits_end(at_);
      // "1.x" is a member of a number, and so is what follows a point ("a.1.2").
      const bool is_member = at_ > 0 && source_[at_ - 1] == '.';
      if (!is_member && peek(end) == '.' && is_digit(peek(end + 1))) {
        end = digits_end(end + 1);
        is_float = true;
      }
      const std::size_t exponent = end + (peek(end + 1) == '+' || peek(end + 1) == '-' ? 2 : 1);
      if (!is_member && (peek(end) | 0x20) == 'e' && is_digit(peek(exponent))) {
        end = digits_end(exponent);
        is_float = true;
      }
    }
    std::string digits(view().substr(at_, end - at_));
    std::erase(digits, '_');
    add(is_float ? TokenKind::kFloat : TokenKind::kInteger, digits);
    skip_to(end);
  }

  void lex_string(char quote) {
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) throw_syntax_error(line_, "a string that does not end");
    add(TokenKind::kString, unescaped(view().substr(at_ + 1, end - at_ - 1)));
    skip_to(end + 1);
  }

  std::string unescaped(std::string_view text) const {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out += text[i];
        continue;
      }
      i = append_escape(text, i + 1, out) - 1;
    }
    return out;
  }

  // Reads the escape whose letter is text[at], and returns where it ends.
  std::size_t append_escape(std::string_view text, std::size_t at, std::string& out) const {
    static constexpr std::string_view kLetters = "\\'\"abfnrtv";
    static constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    const char letter = text[at];
    if (letter == '\n') return at + 1;  // a line that goes on
    if (const std::size_t known = kLetters.find(letter); known != std::string_view::npos) {
      out += kValues[known];
      return at + 1;
    }
    if (letter == 'x') return append_code(text, at + 1, 2, 16, out);
    if (letter == 'u') return append_code(text, at + 1, 4, 16, out);
    if (letter == 'U') return append_code(text, at + 1, 8, 16, out);
    if (letter >= '0' && letter <= '7') return append_code(text, at, 3, 8, out);
    QUIRE_CHECK_KIND(kUnsupported, letter != 'N',
                     "chat template, line {}: characters by name (\\N) are not supported", line_);
    out += '\\';
    out += letter;
    return at + 1;
  }

  std::size_t append_code(std::string_view text, std::size_t at, std::size_t num_digits, int base,
                          std::string& out) const {
    std::size_t end = at;
    std::uint32_t code = 0;
    for (; end < text.size() && end - at < num_digits; ++end) {
      const char c = text[end];
      const int digit = is_digit(c)                              ? c - '0'
                        : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                 : 99;
      if (digit >= base) break;
      code = code * static_cast<std::uint32_t>(base) + static_cast<std::uint32_t>(digit);
    }
    const bool is_complete = base == 8 || end - at == num_digits;
    if (!is_complete || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      throw_syntax_error(line_, fmt::format("\"{}\" is no character", text.substr(at, num_digits)));
    }
    char bytes[4];
    std::int32_t num_bytes = 0;
    U8_APPEND_UNSAFE(bytes, num_bytes, code);
    out.append(bytes, static_cast<std::size_t>(num_bytes));
    return end;
  }

  void lex_operator() {
    for (const std::string_view spelling : kOperators) {
      if (!rest().starts_with(spelling)) continue;
      track_bracket(spelling[0]);
      add(TokenKind::kOperator, spelling);
      return skip_to(at_ + spelling.size());
    }
    throw_syntax_error(line_, fmt::format("unexpected character \"{}\"", source_[at_]));
  }

  void track_bracket(char c) {
    static constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (const std::size_t open = kOpen.find(c); open != std::string_view::npos) brackets_ += kClose[open];
    if (kClose.find(c) == std::string_view::npos) return;
    if (brackets_.empty() || brackets_.back() != c)
      throw_syntax_error(line_, fmt::format("unexpected \"{}\"", c));
    brackets_.pop_back();
  }

  const std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::string brackets_;  // the closing ones that are awaited
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

void throw_syntax_error(int line, const std::string& what) {
  throw_error(ErrorKind::kCorruptFile, "chat template, line {}: {}", line, what);
}

}  // namespace quire::jinja
