#include "engine/stop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace quire {
namespace {

struct Result {
  std::string text;
  std::string matched;
};

Result feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces,
            bool is_match_kept = false) {
  StopStrings finder(stops, is_match_kept);
  Result result;
  std::size_t longest = 1;
  for (const std::string& stop : stops) longest = std::max(longest, stop.size());
  std::size_t num_fed = 0;
  for (const std::string& piece : pieces) {
    result.text += finder.push(piece);
    num_fed += piece.size();
    if (!finder.matched().empty()) break;
    EXPECT_LT(num_fed - result.text.size(),
              longest);  // never holds back more than the longest stop minus one
  }
  result.text += finder.finish();
  result.matched = finder.matched();
  return result;
}

TEST(StopStrings, FindsMatchesThatSpanPieces) {
  EXPECT_EQ(feed({"</s>"}, {"Hi", "<", "/", "s", "> more"}).text, "Hi");
  EXPECT_EQ(feed({"</s>"}, {"Hi", "<", "/", "s", "> more"}, true).text, "Hi</s>");
  EXPECT_EQ(feed({"</s>"}, {"Hi </", "p>"}).text, "Hi </p>");
  EXPECT_EQ(feed({"aab"}, {"a", "a", "a", "b"}).text, "a");
  EXPECT_EQ(feed({"\n\n"}, {"x\n", "y\n", "\nz"}).text, "x\ny");
  EXPECT_EQ(feed({}, {"a", "b"}).text, "ab");
  EXPECT_EQ(feed({"é"}, {"caf", "é!"}).text, "caf");
}

TEST(StopStrings, TheOneThatEndsFirstWins) {
  EXPECT_EQ(feed({"world", "lo"}, {"hello world"}).matched, "lo");
  const Result longest = feed({"lo", "ello"}, {"hello"});
  EXPECT_EQ(longest.matched, "ello");
  EXPECT_EQ(longest.text, "h");
}

TEST(StopStrings, TextThatIsShownBeforeItMayStopIsNeverCut) {
  StopStrings finder({"ab"}, false);
  EXPECT_EQ(finder.push_unchecked("xab"), "xab");
  EXPECT_EQ(finder.push("b a"), "b ");
  EXPECT_EQ(finder.push("b"), "");
  EXPECT_EQ(finder.matched(), "ab");
}

// Against a search that looks at one more byte at a time.
TEST(StopStrings, MatchesBruteForce) {
  std::mt19937 random(3);
  const auto word = [&random](unsigned max_len) {
    std::string text;
    for (unsigned i = 1 + random() % max_len; i-- > 0;) text += static_cast<char>('a' + random() % 2);
    return text;
  };
  int num_matches = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops, pieces;
    for (unsigned i = random() % 4; i-- > 0;) stops.push_back(word(6));
    std::string all, expected;
    for (unsigned i = 1 + random() % 10; i-- > 0;) pieces.push_back(word(3)), all += pieces.back();
    std::string matched;
    for (std::size_t end = 1; end <= all.size() && matched.empty(); ++end) {
      for (const std::string& stop : stops) {
        if (all.substr(0, end).ends_with(stop) && stop.size() > matched.size()) matched = stop;
      }
      expected = all.substr(0, end - matched.size());
    }
    const Result result = feed(stops, pieces);
    ASSERT_EQ(result.matched, matched) << all;
    ASSERT_EQ(result.text, expected) << all;
    num_matches += !matched.empty();
  }
  EXPECT_GT(num_matches, 5000);
}

TEST(Stop, LastToken) {
  Request request;
  request.tokens = {1, 2, 3};
  request.prompt_len = 2;
  request.max_len = 4;
  request.end_tokens = {7, 9};
  EXPECT_EQ(check_last_token(request), FinishReason::kNone);
  request.append(9);
  EXPECT_EQ(check_last_token(request), FinishReason::kStop);
  request.tokens.back() = 8;
  EXPECT_EQ(check_last_token(request), FinishReason::kLength);
}

}  // namespace
}  // namespace quire
