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
  EXPECT_THAT(*ProcessScores({3, -4}, PpoConfig{}, &moments), ::testing::ElementsAre(3, -4));
  EXPECT_LT(moments.count, 1);
}

TEST(ProcessScoresTest, ClipsAfterScaling) {
  PpoConfig config;
  config.use_score_scaling = true;
  config.use_score_norm = true;
  config.score_clip = 0.5;
  RunningMoments moments;
  const std::vector<float> scores =
      *ProcessScores({1, 3}, config, &moments);  // mean 2, std sqrt(2)
  EXPECT_THAT(scores, ::testing::ElementsAre(-0.5f, 0.5f));
  config.score_clip = 10;
  moments = {};
  EXPECT_NEAR((*ProcessScores({1, 3}, config, &moments))[1], 1 / std::sqrt(2.0), 1e-6);
}

class EqualScoresTest : public ::testing::TestWithParam<bool> {
 protected:
  PpoConfig Config() const {
    PpoConfig config;
    config.use_score_scaling = true;
    config.use_score_norm = GetParam();
    return config;
  }
};

TEST_P(EqualScoresTest, CountAsNothingUntilOneDiffers) {
  RunningMoments moments;
  for (const float score : {2.0f, 2.0f}) {
    const std::vector<float> scores(4, score);
    EXPECT_THAT(*ProcessScores(scores, Config(), &moments), ::testing::Each(0.0f));
  }
  const std::vector<float> scores = *ProcessScores({2, 2, 2, 3}, Config(), &moments);
  EXPECT_GT(scores[3], scores[0]);
  EXPECT_LT(scores[3], 20);
}

TEST_P(EqualScoresTest, WhateverTheirSize) {
  for (const float score : {0.0f, 1e-6f, -0.1f, 3e4f, 1e30f}) {
    RunningMoments moments;
    const std::vector<float> scores(3, score);
    EXPECT_THAT(*ProcessScores(scores, Config(), &moments), ::testing::Each(0.0f)) << score;
  }
}

TEST_P(EqualScoresTest, AreAnErrorWhereNumbersMustBeTrls) {
  PpoConfig config = Config();
  config.trl_compat = true;
  for (const std::vector<float>& scores : {std::vector<float>{2, 2, 2}, std::vector<float>{2}}) {
    RunningMoments moments;
    const absl::Status status = ProcessScores(scores, config, &moments).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status));
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("all so far are equal, 2"));
  }
  RunningMoments moments;
  EXPECT_TRUE(ProcessScores({1, 2}, config, &moments).ok());
}

INSTANTIATE_TEST_SUITE_P(ScoreNorm, EqualScoresTest, ::testing::Bool());

}  // namespace
}  // namespace mellow::rl
