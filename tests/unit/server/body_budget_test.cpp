#include "server/body_budget.h"

#include <gtest/gtest.h>

#include "server/api_error.h"

namespace quire {
namespace {

bool grows(BodyBudget::Share& share, std::size_t num_bytes) {
  try {
    share.grow_to(num_bytes);
    return true;
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 429);
    EXPECT_EQ(error.headers().front().first, "Retry-After");
    return false;
  }
}

TEST(BodyBudget, AClientHoldsAsMuchAsItLeavesFree) {
  BodyBudget budget(1000, 0);
  auto greedy = budget.share_of("a"), second = budget.share_of("a"), other = budget.share_of("b"),
       third = budget.share_of("c");
  EXPECT_TRUE(grows(greedy, 400));
  EXPECT_TRUE(grows(second, 100));
  EXPECT_FALSE(grows(second, 101)) << "half of the bound";
  EXPECT_THROW(budget.check_room("a", 1), ApiError);
  EXPECT_TRUE(grows(other, 250)) << "half of what is left";
  EXPECT_FALSE(grows(other, 251));
  EXPECT_TRUE(grows(third, 125));
  EXPECT_EQ(budget.num_bytes(), 875u);
  { const BodyBudget::Share gone = std::move(greedy); }
  EXPECT_EQ(budget.num_bytes(), 475u);
  EXPECT_TRUE(grows(other, 300));
}

TEST(BodyBudget, ShortBodiesAreTakenWhateverTheLongOnesHold) {
  BodyBudget budget(1000, 10);
  auto greedy = budget.share_of("a"), brief = budget.share_of("a");
  EXPECT_TRUE(grows(greedy, 500));
  EXPECT_TRUE(grows(brief, 10));
  budget.check_room("a", 10);
  EXPECT_EQ(budget.num_bytes(), 500u);
  EXPECT_FALSE(grows(brief, 11));
}

TEST(BodyBudget, NoNumberIsTooLarge) {
  BodyBudget budget(1000, 0);
  auto share = budget.share_of("a");
  EXPECT_FALSE(grows(share, std::numeric_limits<std::size_t>::max()));
  EXPECT_THROW(budget.check_room("a", std::numeric_limits<std::size_t>::max()), ApiError);
  EXPECT_TRUE(grows(share, 500));
  EXPECT_TRUE(grows(share, 3)) << "never less than before";
  EXPECT_EQ(budget.num_bytes(), 500u);
}

TEST(BodyBudget, SharesMayOutliveIt) {
  auto budget = std::make_unique<BodyBudget>(10, 0);
  auto share = budget->share_of("a");
  share.grow_to(5);
  budget.reset();
}

}  // namespace
}  // namespace quire
