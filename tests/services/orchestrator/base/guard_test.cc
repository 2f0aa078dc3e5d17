#include "services/orchestrator/base/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mellow::orchestrator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RepeatedNgramsTest, CountsTheFourGramsThatCameBefore) {
  EXPECT_EQ(RepeatedNgrams({}), 0);
  EXPECT_EQ(RepeatedNgrams({7, 7, 7}), 0) << "shorter than one";
  EXPECT_EQ(RepeatedNgrams({1, 2, 3, 4, 5, 6}), 0);
  // Four of them, all the same: three came before.
  EXPECT_DOUBLE_EQ(RepeatedNgrams({7, 7, 7, 7, 7, 7, 7}), 0.75);
  // 1234 2341 3412 4123 1234.
  EXPECT_DOUBLE_EQ(RepeatedNgrams({1, 2, 3, 4, 1, 2, 3, 4}), 0.2);
}

struct Numbers {
  double kl = 1;
  double tokens = 20;
  double repetition = 0.02;
  double score = 0;
  std::optional<double> judge = {};
};

// Shows the guard steps with these numbers; what it finds at the last one.
class Watched {
 public:
  explicit Watched(const GuardConfig& config, int lag = 0) : guard(config, lag) {}
  std::optional<GuardFinding> Next(const Numbers& numbers, int times = 1) {
    std::optional<GuardFinding> finding;
    for (int i = 0; i < times && !finding; ++i) {
      StepRecord step{.step = ++last};
      step.stats["objective/kl"] = numbers.kl;
      step.response_tokens_mean = numbers.tokens;
      step.repetition_mean = numbers.repetition;
      step.score_mean = numbers.score;
      step.score_sd = 2;
      if (numbers.judge) step.judge = JudgeFigures{.score_mean = *numbers.judge, .score_sd = 4};
      finding = guard.Observe(step);
    }
    return finding;
  }

  Guard guard;
  int last = 0;
};

GuardConfig WithJudge() {
  GuardConfig config;
  config.judge.emplace();
  return config;
}

TEST(GuardTest, AHealthyRunIsLeftAlone) {
  Watched run(WithJudge());
  for (int i = 0; i < 200; ++i) {
    const double rise = std::min(2.0, i / 50.0);
    // Noise of up to half a standard deviation, both ways.
    const double noise = i % 2 == 0 ? 0.9 : -0.9;
    const auto finding = run.Next({rise * 3, 20 - rise, 0.02, rise + noise, 2 * rise - noise});
    EXPECT_FALSE(finding.has_value()) << finding->reason;
  }
}

TEST(GuardTest, NamesFieldValueBoundAndSteps) {
  Watched run({});
  EXPECT_FALSE(run.Next({}, 10).has_value());
  const auto finding = run.Next({.repetition = 0.9}, 10);
  ASSERT_TRUE(finding.has_value());
  // Two steps of 0.9 and three of 0.02 are 0.372.
  EXPECT_EQ(run.last, 12);
  EXPECT_EQ(finding->check, "max_repetition");
  EXPECT_NEAR(finding->value, 0.372, 1e-9);
  EXPECT_EQ(finding->bound, 0.3);
  EXPECT_EQ(finding->good_step, 6) << "whose rollouts are those of step 7, before the window";
  EXPECT_EQ(finding->reason,
            "guard.max_repetition: the share of repeated 4-grams is 0.372 over steps 8 to 12, the "
            "bound is 0.3; back to the weights of step 6");
}

TEST(GuardTest, WithALagTheGoodVersionIsAsMuchOlder) {
  Watched run({}, /*lag=*/1);
  EXPECT_FALSE(run.Next({}, 10).has_value());
  EXPECT_EQ(run.Next({.repetition = 0.9}, 10)->good_step, 5);
}

TEST(GuardTest, OneBadStepIsNoReason) {
  Watched run({});
  EXPECT_FALSE(run.Next({}, 10).has_value());
  EXPECT_FALSE(run.Next({.kl = 100, .tokens = 5, .repetition = 1, .score = -9}).has_value());
  EXPECT_FALSE(run.Next({}, 10).has_value());
}

TEST(GuardTest, SaysNothingBeforeItsFirstWindowIsFull) {
  Watched run({});
  EXPECT_FALSE(run.Next({.repetition = 1}, 4).has_value());
  const auto finding = run.Next({.repetition = 1});
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->good_step, 0);
  EXPECT_THAT(finding->reason, HasSubstr("back to the weights that the run started from"));
}

TEST(GuardTest, TheKlCountsFromWhereItBegan) {
  Watched run({.kl_max = 6});
  EXPECT_FALSE(run.Next({.kl = 32}, 10).has_value());
  EXPECT_FALSE(run.Next({.kl = 37.9}, 10).has_value());
  const auto finding = run.Next({.kl = 39}, 10);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->check, "kl_max");
}

TEST(GuardTest, ResponsesMayNotShrinkToAQuarterUnlessTheFileSaysHowFar) {
  Watched quarter({});
  EXPECT_FALSE(quarter.Next({.tokens = 20}, 10).has_value());
  EXPECT_FALSE(quarter.Next({.tokens = 5}, 20).has_value());
  EXPECT_EQ(quarter.Next({.tokens = 4.5}, 20)->check, "min_response_tokens");
  Watched given({.min_response_tokens = 12});
  EXPECT_FALSE(given.Next({.tokens = 20}, 10).has_value());
  EXPECT_EQ(given.Next({.tokens = 11}, 20)->check, "min_response_tokens");
}

TEST(GuardTest, TheScoreIsComparedWithItsBestWindow) {
  Watched run({});
  EXPECT_FALSE(run.Next({.score = 0}, 10).has_value());
  EXPECT_FALSE(run.Next({.score = 5}, 10).has_value());
  EXPECT_FALSE(run.Next({.score = 3.1}, 10).has_value()) << "a standard deviation is 2";
  const auto finding = run.Next({.score = 2.5}, 10);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->check, "score_drop");
}

TEST(GuardTest, TheGapIsInStandardDeviationsOfEach) {
  Watched run(WithJudge());
  EXPECT_FALSE(run.Next({.score = 1, .judge = 10}, 10).has_value());
  EXPECT_NEAR(run.guard.judge_gap(), 0, 1e-9);
  // Both rose by one.
  EXPECT_FALSE(run.Next({.score = 3, .judge = 14}, 10).has_value());
  EXPECT_NEAR(run.guard.judge_gap(), 0, 1e-9);
  const auto finding = run.Next({.score = 5, .judge = 8}, 10);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->check, "judge_gap");
  EXPECT_GT(finding->value, 1.5);
}

TEST(GuardTest, AMissingJudgeOrSpreadHasNoGap) {
  Watched run({});
  EXPECT_FALSE(run.Next({.score = 0}, 10).has_value());
  EXPECT_FALSE(run.Next({.score = 50}, 10).has_value());
  EXPECT_EQ(run.guard.judge_gap(), 0);
}

TEST(GuardTest, ABoundOfZeroIsOff) {
  Watched run({.kl_max = 0, .min_response_tokens = 0, .max_repetition = 0, .score_drop = 0});
  EXPECT_FALSE(run.Next({.score = 9}, 10).has_value());
  EXPECT_FALSE(run.Next({.kl = 900, .tokens = 1, .repetition = 1, .score = -90}, 20).has_value());
}

TEST(GuardTest, WhatIsNotFiniteFails) {
  Watched run({});
  EXPECT_FALSE(run.Next({}, 10).has_value());
  const auto finding = run.Next({.kl = std::numeric_limits<double>::quiet_NaN()}, 1);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->check, "kl_max");
}

TEST(GuardTest, EveryCheckThatFailsIsNamed) {
  Watched run({});
  EXPECT_FALSE(run.Next({}, 10).has_value());
  const auto finding = run.Next({.kl = 1000, .repetition = 9}, 1);
  ASSERT_TRUE(finding.has_value());
  EXPECT_THAT(finding->reason, AllOf(HasSubstr("guard.kl_max: "), HasSubstr("max_repetition: ")));
  EXPECT_THAT(finding->reason, Not(HasSubstr("score_drop")));
}

TEST(GuardTest, AfterItWentBackTheWindowBeginsAnewAndWhatWasReachedByBadWeightsIsForgotten) {
  Watched run({});
  EXPECT_FALSE(run.Next({.score = 0}, 10).has_value());
  // A score of 40 while the text falls apart.
  ASSERT_TRUE(run.Next({.repetition = 0.9, .score = 40}, 10).has_value());
  EXPECT_EQ(run.last, 12);
  run.guard.WentBack(6);
  EXPECT_FALSE(run.Next({.score = 0}, 30).has_value()) << "40 is no best to fall from";
  const auto again = run.Next({.repetition = 0.9}, 10);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->good_step, run.last - 6);
}

TEST(GuardTest, ItNeverGoesBackBehindWhereItWentBackTo) {
  Watched run({});
  EXPECT_FALSE(run.Next({}, 10).has_value());
  ASSERT_TRUE(run.Next({.repetition = 0.9}, 10).has_value());
  run.guard.WentBack(6);
  const int since = run.last;
  const auto again = run.Next({.repetition = 0.9}, 10);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(run.last, since + 5);
  EXPECT_EQ(again->good_step, 6) << "once more";
}

TEST(GuardConfigTest, EverythingThatIsWrongIsNamedAtOnce) {
  EXPECT_TRUE(GuardConfig{}.Validate().ok());
  EXPECT_TRUE(WithJudge().Validate().ok());
  GuardConfig bad{.kl_max = -1,
                  .min_response_tokens = -2,
                  .max_repetition = 1.5,
                  .score_drop = -3,
                  .judge_gap = std::numeric_limits<double>::infinity(),
                  .window = 1,
                  .learning_rate_factor = 0,
                  .max_trips = -1,
                  .judge = JudgeConfig{.share = 0}};
  const absl::Status status = bad.Validate();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const char* named :
       {"guard.kl_max: -1: ", "guard.min_response_tokens: -2: ", "guard.max_repetition: 1.5: ",
        "guard.score_drop: -3: ", "guard.judge_gap: inf: ", "guard.window: 1: ",
        "guard.learning_rate_factor: 0: ", "guard.max_trips: -1: ", "guard.judge.share: 0: "}) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(named));
  }
}

}  // namespace
}  // namespace mellow::orchestrator
