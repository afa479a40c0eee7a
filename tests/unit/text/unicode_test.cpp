// Which characters patterns match: all of Unicode against what Hugging Face's tokenizers match, whatever
// Unicode the distribution's libraries know.
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "text/code_point_set.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace quire {
namespace {

bool is_scalar(char32_t c) { return c < 0xD800 || c > 0xDFFF; }

struct Summary {
  std::uint64_t count = 0, sum = 0;
  void add(char32_t c) {
    ++count;
    sum = (sum + static_cast<std::uint64_t>(c) * c) % (1ull << 62);
  }
};

Summary summary_of(const CodePointSet& set) {
  Summary summary;
  for (const auto& range : set.ranges()) {
    for (char32_t c = range.begin; c < range.end; ++c) {
      if (is_scalar(c)) summary.add(c);
    }
  }
  return summary;
}

const std::string& all_characters() {
  static const std::string text = [] {
    std::string all;
    for (char32_t c = 0; c < CodePointSet::kEnd; ++c) {
      if (is_scalar(c)) append_utf8(all, c);
    }
    return all;
  }();
  return text;
}

Summary summary_of_matches(const std::string& pattern) {
  const std::string& text = all_characters();
  RegexScratch scratch(text.size());
  std::vector<Span> matches;
  Regex::from_pattern(pattern, "here").find_all(text, scratch, matches);
  Summary summary;
  for (const Span& match : matches) summary.add(decode_utf8(text, match.begin).code_point);
  return summary;
}

TEST(UnicodeClasses, HoldTheCharactersThatTokenizersMatch) {
  std::ifstream file(QUIRE_SOURCE_DIR "/tests/golden/tokenizer/unicode.json");
  const Json golden = Json::parse(file);
  ASSERT_GE(golden.size(), 40u);
  for (const Json& entry : golden) {
    const auto pattern = entry["pattern"].get<std::string>();
    const bool is_property = pattern.starts_with("\\p{");
    std::string name = is_property ? pattern.substr(3, pattern.size() - 4) : "";
    for (char& c : name) c = static_cast<char>(c | 0x20);
    const Summary found = is_property ? summary_of(find_property(name).value()) : summary_of_matches(pattern);
    EXPECT_EQ(found.count, entry["count"].get<std::uint64_t>()) << pattern;
    EXPECT_EQ(found.sum, entry["sum"].get<std::uint64_t>()) << pattern;
  }
}

std::vector<std::string> parts(const std::string& pattern, const std::string& text) {
  RegexScratch scratch(text.size());
  std::vector<Span> matches;
  Regex::from_pattern(pattern, "here").find_all(text, scratch, matches);
  std::vector<std::string> found;
  for (const Span& match : matches) found.push_back(text.substr(match.begin, match.end - match.begin));
  return found;
}

// DeepSeek's pattern; characters of Unicode 15 and 16 are symbols, letters and marks.
TEST(UnicodeClasses, YoungCharactersAreWhatTheyAre) {
  const std::string pattern =
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  using Parts = std::vector<std::string>;
  EXPECT_EQ(parts(pattern, "I love you 🩷"), (Parts{"I", " love", " you", " 🩷"}));
  EXPECT_EQ(parts(pattern, "a 🩷🪿🫨b x"), (Parts{"a", " 🩷🪿🫨", "b", " x"}));
  EXPECT_EQ(parts(pattern, "𞓐𞓑 𑼂 ꟑ"), (Parts{"𞓐𞓑", " 𑼂", " ꟑ"}));
  EXPECT_EQ(parts(pattern, "x\U00010d50\U00010d70 \U0001faf7\n"),
            (Parts{"x\U00010d50\U00010d70", " \U0001faf7\n"}));
}

TEST(UnicodeClasses, CaseIsIgnoredInClassesAndOutside) {
  using Parts = std::vector<std::string>;
  EXPECT_EQ(parts("(?i:'s|'t)x", "'sx 'Sx 'ſx 'Tx 'sX"), (Parts{"'sx", "'Sx", "'ſx", "'Tx"}));
  EXPECT_EQ(parts("(?i)[^a]", "aAb"), (Parts{"b"}));
  EXPECT_EQ(parts("(?i)[\\p{Lu}]", "aB1é"), (Parts{"a", "B", "é"}));
  EXPECT_EQ(parts("(?i)\\p{Lu}", "aB1é"), (Parts{"B"}));
  EXPECT_EQ(parts("(?i)a(?-i:b)c", "ABC AbC"), (Parts{"AbC"}));
  EXPECT_EQ(parts("(?i)σ", "Σςσ"), (Parts{"Σ", "ς", "σ"}));
  EXPECT_EQ(parts("(?i)\U00010d50", "\U00010d70"), (Parts{"\U00010d70"})) << "Garay, of Unicode 16";
}

TEST(UnicodeClasses, LinesAndWordsKeepTheirBounds) {
  using Parts = std::vector<std::string>;
  EXPECT_EQ(parts("^.+$", "é1\n\nb\r"), (Parts{"é1", "b\r"}));
  EXPECT_EQ(parts(R"(\b\w)", "🩷a ébc"), (Parts{"a", "é"}));
  EXPECT_EQ(parts(R"(\R)", "a\r\nb\u2028c\n"), (Parts{"\r\n", "\u2028", "\n"}));
  EXPECT_EQ(parts("[\\p{Han}]+|.", "漢字x"), (Parts{"漢字", "x"}));
  EXPECT_EQ(parts(R"([\P{L}])", "a1"), (Parts{"1"}));
}

TEST(UnicodeClasses, PropertiesOfSingleCharacters) {
  EXPECT_TRUE(is_whitespace(U'\u3000') && is_whitespace(U'\x85') && !is_whitespace(U'\u200b'));
  EXPECT_TRUE(is_numeric(U'²') && is_numeric(U'\U0001e4f1') && !is_numeric(U'a'));
  EXPECT_TRUE(is_punctuation(U'$') && is_punctuation(U'¿') && !is_punctuation(U'€'));
  EXPECT_TRUE(is_mark(U'\u0301') && !is_mark(U'a'));
  EXPECT_TRUE(is_word_char(U'é') && is_word_char(U'\u200d') && is_word_char(U'ⓐ') && !is_word_char(U'²'));
}

TEST(UnicodeClasses, TooManyKindsOfCharactersAreRefused) {
  std::string many;
  for (char32_t c = 0x4e00; c < 0x4e00 + 300; ++c) append_utf8(many, c);
  EXPECT_THROW(Regex::from_pattern(many, "here"), Error);
  EXPECT_NO_THROW(Regex::from_pattern("[" + many + "]", "here"));
}

}  // namespace
}  // namespace quire
