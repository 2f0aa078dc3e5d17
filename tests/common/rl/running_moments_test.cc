#include "common/rl/running_moments.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

TEST(RunningMomentsTest, TwoBatchesEqualOneOfAll) {
  RunningMoments parts, whole;
  parts.Update({1, 2, 6});
  parts.Update({3, 8});
  whole.Update({1, 2, 6, 3, 8});
  EXPECT_NEAR(parts.mean, 4, 1e-12);
  EXPECT_NEAR(parts.mean, whole.mean, 1e-12);
  EXPECT_NEAR(parts.std, std::sqrt(34.0 / 4), 1e-12);
  EXPECT_NEAR(parts.std, whole.std, 1e-12);
}

TEST(RunningMomentsTest, OneScoreAloneKeepsTheDeviationFinite) {
  RunningMoments moments;
  moments.Update({5});
  EXPECT_EQ(moments.std, 1);
}

TEST(ProcessScoresTest, DoesNothingByDefault) {
  RunningMoments moments;
  EXPECT_THAT(ProcessScores({3, -4}, PpoConfig{}, &moments), ::testing::ElementsAre(3, -4));
  EXPECT_LT(moments.count, 1);
}

TEST(ProcessScoresTest, ClipsAfterScaling) {
  PpoConfig config;
  config.use_score_scaling = true;
  config.use_score_norm = true;
  config.score_clip = 0.5;
  RunningMoments moments;
  const std::vector<float> scores = ProcessScores({1, 3}, config, &moments);  // mean 2, std sqrt(2)
  EXPECT_THAT(scores, ::testing::ElementsAre(-0.5f, 0.5f));
  config.score_clip = 10;
  moments = {};
  EXPECT_NEAR(ProcessScores({1, 3}, config, &moments)[1], 1 / std::sqrt(2.0), 1e-6);
}

}  // namespace
}  // namespace mellow::rl
