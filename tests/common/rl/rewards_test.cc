#include "common/rl/rewards.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

TEST(TokenPenaltyTest, FollowsTheMode) {
  EXPECT_FLOAT_EQ(TokenPenalty(KlPenalty::kKl, -3, -1), -2);
  EXPECT_FLOAT_EQ(TokenPenalty(KlPenalty::kAbs, -3, -1), 2);
  EXPECT_FLOAT_EQ(TokenPenalty(KlPenalty::kMse, -3, -1), 2);
}

TEST(K3Test, IsNeverNegativeAndZeroWhenEqual) {
  EXPECT_EQ(K3(-1.5f, -1.5f), 0);
  EXPECT_FLOAT_EQ(K3(-1, -2), static_cast<float>(std::exp(-1.0) - 1 + 1));
  EXPECT_GT(K3(-2, -1), 0);
}

TEST(ComputeRewardsTest, PutsTheScoreOnTheLastCountedPosition) {
  const TokenRewards r =
      ComputeRewards({{1, 2, 3}, {4, 5}}, {10, 20}, /*beta=*/0.5, {{0, 1, 0}, {1, 1}});
  EXPECT_THAT(r.non_score, ElementsAre(ElementsAre(-0.5f, -1, -1.5f), ElementsAre(-2, -2.5f)));
  EXPECT_THAT(r.rewards, ElementsAre(ElementsAre(-0.5f, 9, -1.5f), ElementsAre(-2, 17.5f)));
}

TEST(ComputeRewardsTest, ARowThatCountsNowhereGetsNoScore) {
  const TokenRewards r = ComputeRewards({{1}}, {10}, /*beta=*/1, {{0}});
  EXPECT_THAT(r.rewards, ElementsAre(ElementsAre(FloatEq(-1))));
}

}  // namespace
}  // namespace mellow::rl
