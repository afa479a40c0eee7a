#include "load/length_law.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace quire {
namespace {

std::vector<int> draws(const char* text, int count = 40000) {
  const LengthLaw law = LengthLaw::parse("--x", text);
  LoadRandom random(7);
  std::vector<int> values(static_cast<std::size_t>(count));
  for (int& value : values) value = law.draw(random);
  std::sort(values.begin(), values.end());
  return values;
}

double part_above(const std::vector<int>& values, int limit) {
  return double(values.end() - std::upper_bound(values.begin(), values.end(), limit)) / double(values.size());
}

TEST(LengthLaw, FixedIsFixed) { EXPECT_EQ(draws("128", 3), (std::vector<int>{128, 128, 128})); }

TEST(LengthLaw, UniformReachesBothEndsAlike) {
  const auto values = draws("uniform:3:6");
  EXPECT_EQ(values.front(), 3);
  EXPECT_EQ(values.back(), 6);
  for (int v = 3; v <= 6; ++v)
    EXPECT_NEAR(double(std::count(values.begin(), values.end(), v)) / double(values.size()), 0.25, 0.02) << v;
}

TEST(LengthLaw, LogNormalHasItsMedianAndDeviation) {
  const auto values = draws("lognormal:200:0.8");
  EXPECT_NEAR(values[values.size() / 2], 200, 6);
  double sum = 0, squares = 0;
  for (const int v : values) sum += std::log(v), squares += std::log(v) * std::log(v);
  const double mean = sum / double(values.size());
  EXPECT_NEAR(mean, std::log(200), 0.02);
  EXPECT_NEAR(std::sqrt(squares / double(values.size()) - mean * mean), 0.8, 0.02);
}

TEST(LengthLaw, ParetoHasItsTail) {
  const auto values = draws("pareto:100:1.5");
  EXPECT_GE(values.front(), 100);
  EXPECT_NEAR(part_above(values, 200), std::pow(0.5, 1.5), 0.01);
  EXPECT_NEAR(part_above(values, 1000), std::pow(0.1, 1.5), 0.004);
}

TEST(LengthLaw, TailsAreCut) {
  EXPECT_EQ(draws("pareto:100:0.5:900").back(), 900);
  EXPECT_EQ(draws("lognormal:300:2:1000").back(), 1000);
  EXPECT_LE(draws("pareto:100:0.1").back(), LengthLaw::kMost);
}

TEST(LengthLaw, SeedsRepeatAndStreamsDiffer) {
  LoadRandom a(1, 2), b(1, 2), c(1, 3), d(2, 2);
  const auto first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, c.next());
  EXPECT_NE(first, d.next());
}

TEST(LengthLaw, RefusesNonsense) {
  for (const char* text :
       {"", "0", "-3", "x", "12x", "nan", "inf", "uniform:3", "uniform:6:3", "uniform:1:2:3", "lognormal:5",
        "lognormal:0:1", "lognormal:200:1:100", "pareto:1:0", "pareto:1:1:2:3", "normal:1:2", "1000001",
        "128:4", "uniform:1:2000000"}) {
    try {
      LengthLaw::parse("--prompt-len", text);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kInvalidArgument);
      EXPECT_NE(std::string(e.what()).find("--prompt-len"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace quire
