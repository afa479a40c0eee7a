// What patterns mean is in the goldens (golden_test.cpp, components.json); here is what they may not say.
#include "text/pattern_syntax.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "text/regex.h"

namespace quire {
namespace {

std::string refusal(const std::string& pattern) {
  try {
    Regex::from_pattern(pattern, "here");
    return "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).substr(0, 6), "here: ");
    return to_string(error.kind());
  }
}

TEST(PatternSyntax, RefusesWhatPcre2WouldReadDifferently) {
  for (const char* pattern : {R"((a)\1)",
                              R"(\k<a>)",
                              R"(\g<a>)",
                              R"(\K)",
                              R"(\G)",
                              R"(\X)",
                              R"(\N)",
                              R"(\O)",
                              R"(\cA)",
                              R"(\C-a)",
                              R"(\07)",
                              R"(\pL)",
                              "(?m)a",
                              "(?s)a",
                              "(?x)a",
                              "(?s:a)",
                              "a(?i)b",
                              "(?~a)",
                              "(?(1)a)",
                              "(?#a)",
                              "(?R)",
                              "(?&a)",
                              "(?|a)",
                              "[a&&b]",
                              "[[:alpha:]]",
                              "[[^a]b]",
                              "[]a]",
                              "[^]a]",
                              "[a-[b]]",
                              R"([\W])",
                              R"([\H])",
                              R"([\b])",
                              R"([\R])",
                              R"([\p{Any}])",
                              "(*ACCEPT)",
                              "(*UTF)a",
                              "a**",
                              "a+*",
                              "*a",
                              "+",
                              "(*)",
                              "|*",
                              "^*",
                              "a{1001}",
                              "a{2}?",
                              "a{3,2}",
                              "a{99999999999}",
                              R"(\p{NoSuchScript})",
                              "(?<=a+)b"}) {
    EXPECT_EQ(refusal(pattern), std::string(to_string(ErrorKind::kUnsupported))) << pattern;
  }
}

TEST(PatternSyntax, RefusesWhatIsNoPattern) {
  for (const char* pattern :
       {"(", "a)", "(?:a", "[", "[a", "[a-", R"([\)", R"(\)", R"(\p{L)", R"(\p{é})", R"(\x{110000})",
        R"(\x{41)", R"(\u12)", R"(\xZZ)", R"(\uD800)", "[b-a]", "(?<name"}) {
    EXPECT_EQ(refusal(pattern), std::string(to_string(ErrorKind::kCorruptFile))) << pattern;
  }
}

TEST(PatternSyntax, LiteralTextMatchesItselfOnly) {
  const std::string text = "a.b*[\\] {2}(?i)^$|#é\n";
  const Regex regex = Regex::from_literal(text, "here");
  RegexScratch scratch(0);
  std::vector<Span> matches;
  regex.find_all("a_b" + text + text, scratch, matches);
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0].begin, 3u);
  EXPECT_EQ(matches[1].end, 3 + 2 * text.size());
}

TEST(PatternSyntax, LongPatternsAndDeepNestingAreRefused) {
  EXPECT_EQ(refusal(std::string(20'000, 'a')), std::string(to_string(ErrorKind::kUnsupported)));
  EXPECT_EQ(refusal(std::string(500, '(') + std::string(500, ')')),
            std::string(to_string(ErrorKind::kUnsupported)));
}

}  // namespace
}  // namespace quire
