#include "load/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

namespace quire {
namespace {

std::int64_t num_words(const std::string& text) {
  std::istringstream in(text);
  std::string word;
  std::int64_t count = 0;
  while (in >> word) ++count;
  return count;
}

WorkloadConfig config_of(const char* prompt_len, const char* output_len) {
  WorkloadConfig config;
  config.prompt_len = LengthLaw::parse("--prompt-len", prompt_len);
  config.output_len = LengthLaw::parse("--output-len", output_len);
  config.seed = 3;
  return config;
}

TEST(Workload, SameSeedSameWords) {
  const Workload a(config_of("50", "5")), b(config_of("50", "5"));
  EXPECT_EQ(a.conversation(1, 7).turns[0].message, b.conversation(1, 7).turns[0].message);
}

TEST(Workload, PromptsDifferFromTheirFirstWords) {
  const Workload workload(config_of("50", "5"));
  std::set<std::string> beginnings;
  for (int stage = 0; stage < 3; ++stage) {
    for (int i = 0; i < 1000; ++i)
      beginnings.insert(workload.conversation(stage, i).turns[0].message.substr(0, 20));
  }
  EXPECT_EQ(beginnings.size(), 3000u);
}

TEST(Workload, LengthsFollowTheCostOfWords) {
  WorkloadConfig config = config_of("uniform:100:200", "7");
  config.cost = fit_word_cost(10, 45, 20, 75);  // 3 a word and 15 more
  EXPECT_TRUE(config.cost.is_measured);
  EXPECT_DOUBLE_EQ(config.cost.per_word, 3);
  EXPECT_DOUBLE_EQ(config.cost.per_prompt, 15);
  const Workload workload(config);
  std::set<std::int64_t> lengths;
  for (int i = 0; i < 300; ++i) {
    const Turn turn = workload.conversation(0, i).turns.at(0);
    EXPECT_EQ(turn.output_len, 7);
    lengths.insert(num_words(turn.message));
  }
  EXPECT_EQ(*lengths.begin(), std::llround((100 - 15) / 3.0));
  EXPECT_EQ(*lengths.rbegin(), std::llround((200 - 15) / 3.0));
}

TEST(Workload, WithoutUsageAWordIsAToken) {
  EXPECT_FALSE(fit_word_cost(8, 0, 72, 0).is_measured);
  EXPECT_FALSE(fit_word_cost(8, 9, 72, 9).is_measured);
  EXPECT_DOUBLE_EQ(fit_word_cost(8, 0, 72, 0).per_word, 1);
}

TEST(Workload, ConversationsBeginAlikeWhenAsked) {
  WorkloadConfig config = config_of("10", "5");
  config.prefix_len = 30;
  config.num_prefixes = 2;
  config.num_turns = 3;
  const Workload workload(config);
  const LoadConversation a = workload.conversation(0, 0), b = workload.conversation(1, 1),
                     c = workload.conversation(2, 2);
  EXPECT_EQ(num_words(a.prefix), 30);
  EXPECT_EQ(a.prefix, c.prefix);
  EXPECT_NE(a.prefix, b.prefix);
  ASSERT_EQ(a.turns.size(), 3u);
  EXPECT_NE(a.turns[0].message, a.turns[1].message);
  EXPECT_NE(a.turns[0].message, c.turns[0].message);
  EXPECT_TRUE(Workload(config_of("10", "5")).conversation(0, 0).prefix.empty());
}

TEST(Workload, TracesGiveLengthsTextsAndPrefixes) {
  WorkloadConfig config = config_of("1", "1");
  config.trace = parse_trace(
      "{\"prompt_len\": 9, \"output_len\": 3}\n{\"prompt\": \"as written\", \"output_len\": 4}\n"
      "{\"prompt_len\": 20, \"output_len\": 2, \"prefix\": \"a\", \"prefix_len\": 12}\n"
      "{\"prompt_len\": 30, \"output_len\": 2, \"prefix\": \"a\", \"prefix_len\": 12}",
      "t");
  const Workload workload(config);
  EXPECT_EQ(num_words(workload.conversation(0, 0).turns[0].message), 9);
  EXPECT_EQ(workload.conversation(0, 1).turns[0].message, "as written");
  EXPECT_EQ(workload.conversation(0, 5).turns[0].message, "as written");  // from the start again
  EXPECT_EQ(workload.conversation(0, 2).prefix, workload.conversation(0, 3).prefix);
  EXPECT_EQ(num_words(workload.conversation(0, 3).turns[0].message), 18);
}

TEST(Arrivals, AreAPoissonProcess) {
  const auto arrivals = poisson_arrivals(4, 40000, 1);
  EXPECT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end()));
  EXPECT_NEAR(arrivals.back() / 40000, 0.25, 0.005);
  double squares = 0, before = 0;
  int num_long = 0;
  for (const double arrival : arrivals) {
    const double gap = arrival - before;
    squares += gap * gap;
    num_long += gap > 0.5;
    before = arrival;
  }
  EXPECT_NEAR(squares / 40000, 2 * 0.25 * 0.25, 0.005);  // second moment of the exponential law
  EXPECT_NEAR(num_long / 40000.0, std::exp(-2), 0.006);  // its tail
  EXPECT_EQ(poisson_arrivals(4, 10, 1), poisson_arrivals(4, 10, 1));
  EXPECT_NE(poisson_arrivals(4, 10, 1), poisson_arrivals(4, 10, 2));
  EXPECT_EQ(poisson_arrivals(INFINITY, 3, 1), (std::vector<double>{0, 0, 0}));
}

}  // namespace
}  // namespace quire
