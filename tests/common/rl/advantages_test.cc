#include "common/rl/advantages.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

TEST(ComputeAdvantagesTest, MatchesTheRecursionByHand) {
  // gamma 0.5, lam 0.5: A1 = 2 - 1 = 1; A0 = 1 + 0.5 * 1 - 2 + 0.25 * 1 = -0.25.
  const Advantages a = ComputeAdvantages({{2, 1}}, {{1, 2}}, {{1, 1}}, {.gamma = 0.5, .lam = 0.5});
  EXPECT_THAT(a.returns, ElementsAre(ElementsAre(FloatNear(1.75f, 1e-6f), FloatNear(2, 1e-6f))));
  EXPECT_THAT(a.values, ElementsAre(ElementsAre(2, 1)));
  // Whitened: mean 0.375, deviation 0.8839.
  EXPECT_THAT(a.advantages,
              ElementsAre(ElementsAre(FloatNear(-0.70711f, 1e-4f), FloatNear(0.70711f, 1e-4f))));
}

TEST(ComputeAdvantagesTest, MaskedPositionsAddNeitherRewardNorValue) {
  const Advantages a = ComputeAdvantages({{100, 1}}, {{100, 2}}, {{0, 1}}, {.gamma = 1, .lam = 1});
  EXPECT_FLOAT_EQ(a.returns[0][1], 2);
  EXPECT_EQ(a.values[0][0], 0);
  EXPECT_EQ(a.advantages[0][0], 0);
}

TEST(ComputeAdvantagesTest, WhitenedRewardsDoNotDependOnPaddingUnlessAskedTo) {
  const Rows values = {{0, 0, 0}, {0}};
  const Rows rewards = {{1, 2, 4}, {3}};
  const MaskRows mask = {{1, 1, 1}, {1}};
  const Advantages plain = ComputeAdvantages(values, rewards, mask, {.whiten_rewards = true});
  const Advantages width9 =
      ComputeAdvantages(values, rewards, mask, {.whiten_rewards = true, .padded_width = 9});
  EXPECT_EQ(plain.returns, width9.returns);
  const Advantages leaking = ComputeAdvantages(
      values, rewards, mask, {.whiten_rewards = true, .whitened_padding = true, .padded_width = 9});
  EXPECT_NE(plain.returns[1][0], leaking.returns[1][0]);
}

}  // namespace
}  // namespace mellow::rl
