#include "text/unicode.h"

#include <unicode/uchar.h>

#include <initializer_list>
#include <vector>

#include "text/char_classes.h"

namespace quire {
namespace {

// Answers in constant time.
class Property {
 public:
  explicit Property(const CodePointSet& set) : classes_({set}), is_member_(256) {
    for (const char byte : classes_.members(set)) is_member_[static_cast<unsigned char>(byte)] = true;
  }
  bool operator()(char32_t c) const { return is_member_[classes_.class_of(c)]; }

 private:
  CharClasses classes_;
  std::vector<bool> is_member_;  // by class
};

CodePointSet categories(std::initializer_list<const char*> names) {
  CodePointSet set;
  for (const char* name : names) set.add(find_property(name).value());
  return set;
}

// Alphabetic is L, Nl, marks and the circled and squared letters.
CodePointSet word_chars() {
  CodePointSet set = categories({"l", "m", "nd", "nl", "pc"});
  set.add({{0x24b6, 0x24ea}, {0x1f130, 0x1f14a}, {0x1f150, 0x1f16a}, {0x1f170, 0x1f18a}, {0x200c, 0x200e}});
  return set;
}

CodePointSet whitespace() {
  CodePointSet set = categories({"z"});
  set.add({{'\t', '\r' + 1}, {0x85, 0x86}});
  return set;
}

bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

}  // namespace

bool is_whitespace(char32_t c) {
  static const Property property(whitespace());
  return property(c);
}

bool is_numeric(char32_t c) {
  static const Property property(categories({"n"}));
  return property(c);
}

bool is_punctuation(char32_t c) {
  static const Property property(categories({"p"}));
  return is_ascii_punctuation(c) || property(c);
}

bool is_mark(char32_t c) {
  static const Property property(categories({"m"}));
  return property(c);
}

bool is_word_char(char32_t c) {
  static const Property property(word_chars());
  return property(c);
}

void append_lowercase(std::string& out, char32_t c) {
  if (c == 0x130) {
    out += "i\xCC\x87";
  } else {
    append_utf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
  }
}

}  // namespace quire
