#include "services/orchestrator/base/canary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

CanarySuite MakeSuite() {
  return {{{{5, 1}, {6, 7}}, {{5, 1}, {8}}}, {{-1.0f, -2.0f}, {-3.0f}}, 1e-3};
}

TEST(CanaryTest, TheLearnersLogProbsPass) {
  EXPECT_TRUE(CheckCanary(MakeSuite(), {{-1.0f, -2.00001f}, {-3.0f}}).ok());
}

TEST(CanaryTest, ADifferenceIsToldWithItsPlaceAndSize) {
  const absl::Status status = CheckCanary(MakeSuite(), {{-1.0f, -2.25f}, {-3.0f}});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("differs by 0.25 (bound 0.001) at pair 0, token 1"));
}

TEST(CanaryTest, NanAndMissingNumbersFail) {
  EXPECT_FALSE(
      CheckCanary(MakeSuite(), {{-1.0f, std::numeric_limits<float>::quiet_NaN()}, {-3.0f}}).ok());
  EXPECT_FALSE(CheckCanary(MakeSuite(), {{-1.0f, -2.0f}}).ok());
  EXPECT_FALSE(CheckCanary(MakeSuite(), {{-1.0f}, {-3.0f}}).ok());
}

TEST(CanaryTest, TheBoundIsTighterAfterASmallStepSoThatOldWeightsFail) {
  const std::vector<std::vector<float>> before = {{-1.0f, -2.0f}};
  const std::vector<std::vector<float>> after = {{-1.0f, -2.0006f}};
  CanarySuite suite{{{{5, 1}, {6, 7}}}, after, CanaryBound(before, after, 1e-3)};
  EXPECT_NEAR(suite.bound, 3e-4, 1e-6);
  EXPECT_FALSE(CheckCanary(suite, before).ok());
  EXPECT_TRUE(CheckCanary(suite, {{-1.0f, -2.0005f}}).ok());
}

TEST(CanaryTest, TheBoundStaysBetweenATenthAndTheWhole) {
  EXPECT_EQ(CanaryBound({{-1.0f}}, {{-1.0f}}, 1e-3), 1e-4);
  EXPECT_EQ(CanaryBound({{-1.0f}}, {{-9.0f}}, 1e-3), 1e-3);
}

TEST(CanaryTest, PairsAreTheFirstRolloutsCutToAFewTokens) {
  std::vector<Rollout> rollouts(6);
  for (Rollout& rollout : rollouts) {
    rollout.query_ids = {5, 1};
    rollout.response_ids.assign(100, 9);
  }
  const std::vector<TokenPair> pairs = CanaryPairs(absl::MakeConstSpan(rollouts));
  ASSERT_EQ(pairs.size(), 4u);
  EXPECT_EQ(pairs[0].target_ids.size(), 32u);
}

}  // namespace
}  // namespace mellow::orchestrator
