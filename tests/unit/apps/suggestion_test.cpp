#include "apps/suggestion.h"

#include <gtest/gtest.h>

#include <array>

namespace quire {
namespace {

const std::array<std::string, 5> kNames = {"--max-tokens", "--max-model-len", "--temperature", "serve",
                                           "selftest"};

TEST(Suggestion, FindsTheNameThatWasMeant) {
  EXPECT_EQ(closest("--max-token", kNames), "--max-tokens");
  EXPECT_EQ(closest("--maxtokens", kNames), "--max-tokens");
  EXPECT_EQ(closest("--temprature", kNames), "--temperature");
  EXPECT_EQ(closest("sevre", kNames), "serve");  // two letters swapped
  EXPECT_EQ(closest("self-test", kNames), "selftest");
}

TEST(Suggestion, IsSilentWhenNothingIsClose) {
  EXPECT_EQ(closest("abacus", kNames), std::nullopt);
  EXPECT_EQ(closest("", kNames), std::nullopt);
  EXPECT_EQ(closest(std::string(100'000, 'x'), kNames), std::nullopt);
  EXPECT_EQ(closest("serve", std::array<std::string, 0>{}), std::nullopt);
}

}  // namespace
}  // namespace quire
