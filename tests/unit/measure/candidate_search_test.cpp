// The search on a fake machine: planted speeds, noise, drifts, and time that ends.
#include "measure/candidate_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.h"

namespace quire {
namespace {

// Candidate c takes base_us[c][b], times 1 + a non-negative noise, times what the machine does at this
// moment.
struct FakeMachine {
  std::vector<std::vector<double>> base_us;
  double noise = 0, drift = 0;
  std::mt19937 random{std::random_device{}()};
  int num_samples = 0;

  double sample(int candidate, int batch) {
    ++num_samples;
    const double slow = 1 + noise * std::exponential_distribution<double>(1)(random);
    const double now = 1 + drift * std::sin(num_samples * 0.01);
    return base_us[static_cast<std::size_t>(candidate)][static_cast<std::size_t>(batch)] * slow * now;
  }
};

SearchOptions options_for(FakeMachine& machine) {
  SearchOptions options;
  options.num_candidates = static_cast<int>(machine.base_us.size());
  options.num_batches = static_cast<int>(machine.base_us.front().size());
  options.sample_us = [&machine](int candidate, int batch) { return machine.sample(candidate, batch); };
  return options;
}

// 30 candidates that are 5 to 50 % slower than the first, but for one that is 15 % faster over all though
// slower for one batch.
FakeMachine planted(std::mt19937& random, int& winner) {
  FakeMachine machine;
  winner = std::uniform_int_distribution<int>(1, 29)(random);
  for (int c = 0; c < 30; ++c) {
    const double factor = c == 0        ? 1
                          : c == winner ? 0.85
                                        : std::uniform_real_distribution<double>(1.05, 1.5)(random);
    machine.base_us.push_back({10 * factor, 200 * factor, 3000 * factor});
    if (c == winner) machine.base_us.back()[0] = 11;
  }
  machine.base_us[static_cast<std::size_t>(winner)][2] *= 0.75;
  return machine;
}

TEST(CandidateSearch, FindsThePlantedWinnerInNoise) {
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < 20; ++i) {
    int winner = 0;
    FakeMachine machine = planted(random, winner);
    machine.noise = 0.03;
    machine.drift = 0.02;
    const SearchResult result = search_candidates(options_for(machine));
    EXPECT_EQ(result.ranking.front(), winner);
    EXPECT_EQ(result.ranking.back(), 0);
    EXPECT_LT(result.candidates[static_cast<std::size_t>(winner)].score, 0.95);
  }
}

TEST(CandidateSearch, DropsTheSlowEarly) {
  std::mt19937 random(1);
  int winner = 0;
  FakeMachine machine = planted(random, winner);
  const SearchResult result = search_candidates(options_for(machine));
  int most_rounds = 0, num_of_one_round = 0;
  for (const SearchedCandidate& c : result.candidates) {
    most_rounds = std::max(most_rounds, c.num_rounds);
    num_of_one_round += c.num_rounds == 1;
    EXPECT_GE(c.num_rounds, 1);
  }
  EXPECT_EQ(result.candidates[0].num_rounds, most_rounds) << "number 0 stays";
  EXPECT_GE(num_of_one_round, 14);
  EXPECT_LT(machine.num_samples, 30 * 3 * 14) << "all candidates in all rounds";
}

// Equal candidates: none beats number 0, but for what noise does.
TEST(CandidateSearch, NumberZeroWinsWhereNobodyIsFaster) {
  int num_others = 0;
  for (int i = 0; i < 20; ++i) {
    FakeMachine machine;
    machine.base_us.assign(20, {10, 100, 1000, 50});
    machine.noise = 0.01;
    num_others += search_candidates(options_for(machine)).ranking.front() != 0;
  }
  EXPECT_LE(num_others, 1);
}

TEST(CandidateSearch, SmallGainsDoNotCount) {
  FakeMachine machine;
  machine.base_us = {{100}, {99.5}, {98}};
  const SearchResult result = search_candidates(options_for(machine));
  EXPECT_EQ(result.ranking, (std::vector<int>{2, 0}));
}

TEST(CandidateSearch, OneCandidateIsMeasuredAndWins) {
  FakeMachine machine;
  machine.base_us = {{5, 6}};
  const SearchResult result = search_candidates(options_for(machine));
  EXPECT_EQ(result.ranking, std::vector<int>{0});
  EXPECT_EQ(result.candidates[0].time_us, (std::vector<double>{5, 6}));
  EXPECT_DOUBLE_EQ(result.candidates[0].score, 1);
}

TEST(CandidateSearch, WhenTimeIsOverWhatIsKnownDecides) {
  std::mt19937 random(2);
  int winner = 0;
  FakeMachine machine = planted(random, winner);
  SearchOptions options = options_for(machine);
  options.is_over = [&] { return machine.num_samples >= 10; };
  const SearchResult nothing = search_candidates(options);
  EXPECT_EQ(nothing.ranking, std::vector<int>{0});
  EXPECT_EQ(nothing.candidates[0].num_rounds, 0);
  EXPECT_EQ(machine.num_samples, 10);
  machine.num_samples = 0;
  options.is_over = [&] { return machine.num_samples >= 30 * 3 * 2 + 5; };  // in the second round
  const SearchResult one_round = search_candidates(options);
  EXPECT_EQ(one_round.ranking.front(), winner);
  EXPECT_EQ(one_round.candidates[0].num_rounds, 1);
}

TEST(CandidateSearch, RefusesNonsense) {
  FakeMachine machine;
  machine.base_us = {{1}};
  SearchOptions options = options_for(machine);
  options.num_candidates = 0;
  EXPECT_THROW(search_candidates(options), Error);
  options = options_for(machine);
  options.sample_us = [](int, int) { return 0.0; };
  EXPECT_THROW(search_candidates(options), Error);
}

}  // namespace
}  // namespace quire
