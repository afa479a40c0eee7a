#include "server/json_text.h"

#include <fmt/format.h>

#include "text/utf8.h"

namespace quire {

void append_json_text(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
}

void JsonText::separate() {
  if (std::exchange(needs_comma_, true)) out_ += ',';
}

JsonText& JsonText::begin(char bracket) {
  separate();
  out_ += bracket;
  needs_comma_ = false;
  return *this;
}

JsonText& JsonText::end(char bracket) {
  out_ += bracket;
  needs_comma_ = true;
  return *this;
}

JsonText& JsonText::key(std::string_view name) {
  text(name);
  out_ += ':';
  needs_comma_ = false;
  return *this;
}

JsonText& JsonText::text(std::string_view value) {
  separate();
  out_ += '"';
  std::string valid;
  append_lossy_utf8(valid, value, true);
  append_json_text(out_, valid);
  out_ += '"';
  return *this;
}

JsonText& JsonText::number(double value) {
  std::string digits = fmt::format("{}", value);
  if (digits.find_first_of(".e") == digits.npos) digits += ".0";  // some readers tell integers from others
  return raw(digits);
}

JsonText& JsonText::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

}  // namespace quire
