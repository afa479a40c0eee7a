// A template's text as tokens: what is printed as it stands, and the words between {{ }} and {% %}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quire::jinja {

enum class TokenKind {
  kData,        // text outside of tags, white space control applied
  kPrintBegin,  // {{
  kPrintEnd,    // }}
  kBlockBegin,  // {%
  kBlockEnd,    // %}
  kName,
  kString,   // text: the contents, escapes resolved
  kInteger,  // text: the digits, without underscores
  kFloat,
  kOperator,
  kEnd,  // of the template
};

struct Token {
  TokenKind kind;
  std::string text;
  int line;  // from 1

  bool is_operator(std::string_view spelling) const {
    return kind == TokenKind::kOperator && text == spelling;
  }
  bool is_name(std::string_view name) const { return kind == TokenKind::kName && text == name; }
};

// The last token is kEnd. Throws Error{kCorruptFile}.
std::vector<Token> tokenize(std::string_view source);

// Error{kCorruptFile} for a template that breaks the grammar in `line`.
[[noreturn]] void throw_syntax_error(int line, const std::string& what);

}  // namespace quire::jinja
