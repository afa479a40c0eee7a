#include "template/marked_text.h"

#include <gtest/gtest.h>

#include <random>

namespace quire::jinja {
namespace {

// Marked bytes in brackets.
std::string shown(const Text& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.is_marked(i) && (i == 0 || !text.is_marked(i - 1))) out += '[';
    out += text.bytes()[i];
    if (text.is_marked(i) && (i + 1 == text.size() || !text.is_marked(i + 1))) out += ']';
  }
  return out;
}

Text mixed(std::string_view plain, std::string_view marked, std::string_view more = "") {
  Text text{std::string(plain)};
  text.append(marked, true);
  text.append(more, false);
  return text;
}

std::vector<std::string> parts(std::string_view text, const std::vector<Range>& ranges) {
  std::vector<std::string> found;
  for (const Range range : ranges) found.emplace_back(text.substr(range.begin, range.end - range.begin));
  return found;
}

using Parts = std::vector<std::string>;

TEST(MarkedText, AppendAndCut) {
  EXPECT_EQ(shown(mixed("ab", "cd", "ef")), "ab[cd]ef");
  EXPECT_EQ(shown(mixed("ab", "cd", "ef").cut(1, 3)), "b[c]");
  EXPECT_EQ(shown(mixed("", "cd").cut(0, 1)), "[c]");
  Text text = mixed("a", "b");
  text.append(mixed("", "c", "d"));
  text.append(Text("e"));
  EXPECT_EQ(shown(text), "a[bc]de");
  EXPECT_EQ(shown(Text("x", true)), "[x]");
}

TEST(MarkedText, CaseKeepsMarks) {
  EXPECT_EQ(shown(to_upper(mixed("ß", "ß", "ﬁ"))), "SS[SS]FI");
  EXPECT_EQ(shown(to_lower(mixed("AΣ ", "İ"))), "aς [i̇]");
  EXPECT_EQ(shown(to_title(mixed("he", "LLO wor", "LD"))), "He[llo Wor]ld");
  EXPECT_EQ(shown(to_capitalized(mixed("h", "ELLO"))), "H[ello]");
  EXPECT_EQ(shown(to_title_words(mixed("a-", "b c(d"))), "A-[B C(D]");
}

TEST(MarkedText, ReplaceKeepsMarks) {
  EXPECT_EQ(shown(replace(mixed("abab", "ab"), "ab", Text("x"), kNoLimit)), "xxx");
  EXPECT_EQ(shown(replace(mixed("a-", "b-c"), "-", Text("xy"), 1)), "axy[b-c]");
  EXPECT_EQ(shown(replace(Text("a-b"), "-", Text("!", true), kNoLimit)), "a[!]b");
  EXPECT_EQ(shown(replace(mixed("a", "bé"), "", Text("."), kNoLimit)), ".a.[b].[é].");
  EXPECT_EQ(shown(replace(Text("abc"), "", Text("."), 2)), ".a.bc");
  EXPECT_EQ(shown(replace(Text("abc"), "b", Text(""), 0)), "abc");
}

TEST(MarkedText, SizesOfReplacementsAreForetold) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const auto word = [&](std::size_t max_size) {
      std::string text(random() % (max_size + 1), 'a');
      for (char& c : text) c = static_cast<char>('a' + random() % 2);
      return text;
    };
    const Text text(word(12)), with(word(3), true);
    const std::string old = word(2);
    const auto count = static_cast<std::int64_t>(random() % 5) - 1;
    EXPECT_EQ(replace(text, old, with, count).size(), replaced_size(text, old, with, count));
  }
}

TEST(MarkedText, Splits) {
  EXPECT_EQ(parts("a,b,,c", split_at("a,b,,c", ",", kNoLimit, false)), (Parts{"a", "b", "", "c"}));
  EXPECT_EQ(parts("aaa", split_at("aaa", "aa", kNoLimit, false)), (Parts{"", "a"}));
  EXPECT_EQ(parts("aaa", split_at("aaa", "aa", kNoLimit, true)), (Parts{"a", ""}));
  EXPECT_EQ(parts("a b c", split_at("a b c", " ", 1, true)), (Parts{"a b", "c"}));
  EXPECT_EQ(parts("  a  b c ", split_at_space("  a  b c ", 1, false)), (Parts{"a", "b c "}));
  EXPECT_EQ(parts("  a  b c ", split_at_space("  a  b c ", 1, true)), (Parts{"  a  b", "c"}));
  EXPECT_EQ(parts("a\r\nb\rc\u2028d\n", split_lines("a\r\nb\rc\u2028d\n", false)),
            (Parts{"a", "b", "c", "d"}));
  EXPECT_EQ(parts("a\n\nb", split_lines("a\n\nb", true)), (Parts{"a\n", "\n", "b"}));
}

TEST(MarkedText, BrokenBytesCountAsOneCharacterEach) {
  const std::string broken =
      "a\xE4\xBD"
      "b\xFF\xF0\x9F\x98\x80";
  EXPECT_EQ(count_chars(broken), 6u);
  const Range kept = trimmed("\xE3\x80\x80x\xE3\x80\x80");  // ideographic spaces
  EXPECT_EQ(kept.end - kept.begin, 1u);
  const Range broken_end = trimmed("x\xE3\x80");
  EXPECT_EQ(broken_end.end, 3u);
  EXPECT_EQ(to_upper(Text("a\xFF")).bytes().substr(0, 1), "A");
}

}  // namespace
}  // namespace quire::jinja
