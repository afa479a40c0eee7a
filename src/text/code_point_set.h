// Sets of characters, as classes and properties of patterns name them.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace quire {

class CodePointSet {
 public:
  static constexpr char32_t kEnd = 0x110000;  // behind the last code point

  struct Range {
    char32_t begin, end;  // end is not in it
    friend bool operator==(const Range&, const Range&) = default;
  };

  CodePointSet() = default;
  CodePointSet(std::initializer_list<Range> ranges);

  void add(char32_t begin, char32_t end);
  void add(const CodePointSet& other);
  // What differs from a member in case only, one character for one, in no particular language.
  void add_other_cases();
  CodePointSet complement() const;

  bool contains(char32_t c) const;
  const std::vector<Range>& ranges() const { return ranges_; }  // sorted, apart from each other
  friend bool operator==(const CodePointSet&, const CodePointSet&) = default;

 private:
  void normalize();

  std::vector<Range> ranges_;
};

// Characters of a general category (one letter for a group: "l", "lu", "zs") or a script (its name or code),
// written in lower case without spaces, dashes and underscores; nothing for other names.
std::optional<CodePointSet> find_property(std::string_view name);

}  // namespace quire
