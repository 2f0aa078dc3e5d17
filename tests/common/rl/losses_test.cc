#include "common/rl/losses.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

struct Token {
  double old_logprob = 0;
  double new_logprob = 0;
  double old_value = 0;
  double new_value = 0;
  double advantage = 0;
  double target = 0;
  double importance = 1;
};

Losses LossesOf(const std::vector<Token>& tokens, const LossOptions& options = {}) {
  Rows old_logprobs(1), new_logprobs(1), old_values(1), new_values(1), advantages(1), returns(1),
      weights(1);
  for (const Token& t : tokens) {
    old_logprobs[0].push_back(static_cast<float>(t.old_logprob));
    new_logprobs[0].push_back(static_cast<float>(t.new_logprob));
    old_values[0].push_back(static_cast<float>(t.old_value));
    new_values[0].push_back(static_cast<float>(t.new_value));
    advantages[0].push_back(static_cast<float>(t.advantage));
    returns[0].push_back(static_cast<float>(t.target));
    weights[0].push_back(static_cast<float>(t.importance));
  }
  const MaskRows mask = {std::vector<uint8_t>(tokens.size(), 1)};
  return ComputeLosses({.mask = &mask,
                        .old_logprobs = &old_logprobs,
                        .new_logprobs = &new_logprobs,
                        .old_values = &old_values,
                        .new_values = &new_values,
                        .advantages = &advantages,
                        .returns = &returns,
                        .importance_weights = &weights},
                       options);
}

TEST(PolicyLossTest, RatioOneGivesMinusTheAdvantageAndItsFullGradient) {
  const Losses l = LossesOf({{.advantage = 2}});
  EXPECT_NEAR(l.stats.policy_loss, -2, 1e-6);
  EXPECT_NEAR(l.d_logprobs[0][0], -2, 1e-6);
}

TEST(PolicyLossTest, IsFlatOnceTheRatioLeftTheClipRangeInTheGoodDirection) {
  const Losses up = LossesOf({{.new_logprob = std::log(1.5), .advantage = 1}});
  EXPECT_NEAR(up.stats.policy_loss, -1.2, 1e-6);
  EXPECT_EQ(up.d_logprobs[0][0], 0);
  EXPECT_EQ(up.stats.policy_clip_fraction, 1);
  const Losses down = LossesOf({{.new_logprob = std::log(0.5), .advantage = -1}});
  EXPECT_NEAR(down.stats.policy_loss, 0.8, 1e-6);
  EXPECT_EQ(down.d_logprobs[0][0], 0);
}

TEST(PolicyLossTest, KeepsItsGradientInTheBadDirection) {
  const Losses l = LossesOf({{.new_logprob = std::log(1.5), .advantage = -1}});
  EXPECT_NEAR(l.stats.policy_loss, 1.5, 1e-6);
  EXPECT_NEAR(l.d_logprobs[0][0], 1.5, 1e-6);
}

TEST(ValueLossTest, ClipsAroundTheOldValue) {
  // clip(1 -> 0.2): max((1 - 3)^2, (0.2 - 3)^2) = 7.84, flat.
  const Losses far = LossesOf({{.old_value = 0, .new_value = 1, .target = 3}});
  EXPECT_NEAR(far.stats.value_loss, 3.92, 1e-5);
  EXPECT_EQ(far.d_values[0][0], 0);
  EXPECT_EQ(far.stats.value_clip_fraction, 1);
  const Losses near = LossesOf({{.old_value = 0, .new_value = 0.1, .target = 3}});
  EXPECT_NEAR(near.stats.value_loss, 0.5 * 2.9 * 2.9, 1e-5);
  EXPECT_NEAR(near.d_values[0][0], 0.1 * -2.9, 1e-6);
}

TEST(LossesTest, GradientsAreThoseOfFiniteDifferences) {
  const std::vector<Token> tokens = {{-1, -1.05, 0.3, 0.35, 0.7, 1.1},
                                     {-2, -1.7, 0.1, 0.5, -1.2, -0.4},
                                     {-0.5, -0.9, -0.2, -0.6, 0.4, 0.9},
                                     {-3, -3.02, 0, 0.1, -0.8, 0.2, 1.7}};
  const Losses l = LossesOf(tokens);
  const double n = static_cast<double>(tokens.size());
  constexpr double kStep = 1e-3;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto total = [&](double d_logprob, double d_value) {
      std::vector<Token> moved = tokens;
      moved[i].new_logprob += d_logprob;
      moved[i].new_value += d_value;
      return n * LossesOf(moved).stats.total_loss;
    };
    EXPECT_NEAR(l.d_logprobs[0][i], (total(kStep, 0) - total(-kStep, 0)) / (2 * kStep), 2e-3) << i;
    EXPECT_NEAR(l.d_values[0][i], (total(0, kStep) - total(0, -kStep)) / (2 * kStep), 2e-3) << i;
  }
}

TEST(LossesTest, ImportanceWeightsScaleThePolicyLossOnly) {
  const Losses l = LossesOf({{.new_value = 1, .advantage = 2, .importance = 0.25}});
  EXPECT_NEAR(l.stats.policy_loss, -0.5, 1e-6);
  EXPECT_NEAR(l.d_logprobs[0][0], -0.5, 1e-6);
  const Losses plain = LossesOf({{.new_value = 1, .advantage = 2}});
  EXPECT_EQ(l.stats.value_loss, plain.stats.value_loss);
}

TEST(LossesTest, NothingCountedIsZeroNotNan) {
  const Rows one = {{1}};
  const MaskRows mask = {{0}};
  const Losses l = ComputeLosses({.mask = &mask,
                                  .old_logprobs = &one,
                                  .new_logprobs = &one,
                                  .old_values = &one,
                                  .new_values = &one,
                                  .advantages = &one,
                                  .returns = &one},
                                 {});
  EXPECT_EQ(l.stats.total_loss, 0);
  EXPECT_EQ(l.d_logprobs[0][0], 0);
}

}  // namespace
}  // namespace mellow::rl
