// JSON answers, written value by value. Not as a tree: the destructor of a tree allocates memory and cannot
// fail, so that a lack of it would end the process.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace quire {

// `text` as the inside of a JSON string. Valid UTF-8 stays as it is.
void append_json_text(std::string& out, std::string_view text);

// Commas come by themselves; that brackets and keys fit is the caller's part.
class JsonText {
 public:
  JsonText& begin(char bracket);  // '{' or '['
  JsonText& end(char bracket);    // '}' or ']'
  JsonText& key(std::string_view name);
  JsonText& text(std::string_view value);  // what is not UTF-8 in it becomes U+FFFD
  JsonText& number(double value);          // finite
  JsonText& raw(std::string_view json);    // a value that is JSON already

  template <std::integral Integer>
  JsonText& number(Integer value) {
    return raw(std::to_string(value));
  }
  template <class Numbers>
  JsonText& numbers(const Numbers& values) {
    begin('[');
    for (const auto value : values) number(value);
    return end(']');
  }
  JsonText& null() { return raw("null"); }
  // An object's member; shorter to read.
  JsonText& member(std::string_view name, std::string_view value) { return key(name).text(value); }
  template <std::integral Integer>
  JsonText& member(std::string_view name, Integer value) {
    return key(name).number(value);
  }

  std::string take() { return std::move(out_); }  // once, at the end

 private:
  void separate();

  std::string out_;
  bool needs_comma_ = false;
};

}  // namespace quire
