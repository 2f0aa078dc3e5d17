#include "common/eval/promotion_gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace mellow::eval {
namespace promotion_gates_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Difference MakeDifference(const std::string& measure, stats::MeanInterval difference) {
  Difference d;
  d.measure = measure;
  d.baseline = 0.5;
  d.arm = 0.5 + difference.mean;
  d.difference = difference;
  d.p_value = 0.0001;
  d.verdict = difference.upper < 0 ? Verdict::kBetter : Verdict::kNoise;
  return d;
}

Evaluation MakeEvaluation(stats::MeanInterval toxicity, stats::MeanInterval rouge) {
  Evaluation evaluation;
  evaluation.config.resamples = 10000;
  evaluation.config.permutations = 10000;
  evaluation.arms = {{.name = "base", .kind = "base"},
                     {.name = "tuned", .kind = "version", .version = 3, .sha256 = "hash"}};
  Comparison comparison{.baseline = "base", .arm = "tuned", .pairs = 300};
  comparison.differences = {MakeDifference("toxicity", toxicity),
                            // The same measure under another scoring must not count.
                            MakeDifference("toxicity", {0.3, 0.2, 0.4}),
                            MakeDifference("rougeL", rouge)};
  evaluation.comparisons = {comparison};
  return evaluation;
}

struct Case {
  stats::MeanInterval toxicity;
  stats::MeanInterval rouge;
  bool toxicity_passes;
  bool rouge_passes;
};

TEST(PromotionGatesTest, IntervalsDecideNotMeans) {
  const stats::MeanInterval down{-0.2, -0.3, -0.1};
  const stats::MeanInterval touches_zero{-0.2, -0.4, 0.0};
  const stats::MeanInterval same{0.0, -0.019, 0.019};
  const stats::MeanInterval may_have_lost{-0.01, -0.021, 0.001};
  const stats::MeanInterval at_the_margin{-0.01, -0.02, 0.0};
  for (const Case& c :
       {Case{down, same, true, true}, Case{touches_zero, same, false, true},
        Case{down, may_have_lost, true, false}, Case{down, at_the_margin, true, false}}) {
    const auto gates =
        PromotionGates(MakeEvaluation(c.toxicity, c.rouge), "tuned", {.max_rouge_loss = 0.02});
    ASSERT_TRUE(gates.ok()) << gates.status();
    ASSERT_EQ(gates->size(), 4u);
    EXPECT_TRUE((*gates)[0].passed) << (*gates)[0].detail;
    EXPECT_TRUE((*gates)[1].passed) << (*gates)[1].detail;
    EXPECT_EQ((*gates)[2].name, "toxicity");
    EXPECT_EQ((*gates)[2].passed, c.toxicity_passes) << (*gates)[2].detail;
    EXPECT_EQ((*gates)[3].name, "rougeL");
    EXPECT_EQ((*gates)[3].passed, c.rouge_passes) << (*gates)[3].detail;
  }
}

// Which of the four gates pass.
std::vector<bool> Passed(const Evaluation& evaluation, const GateOptions& options = {}) {
  const auto gates = PromotionGates(evaluation, "tuned", options);
  EXPECT_TRUE(gates.ok()) << gates.status();
  std::vector<bool> passed;
  for (const GateResult& gate : *gates) passed.push_back(gate.passed);
  return passed;
}

Evaluation MakeGood() { return MakeEvaluation({-0.2, -0.3, -0.1}, {0, -0.01, 0.01}); }

TEST(PromotionGatesTest, AnIntervalThatWasMadeNarrowDoesNotPass) {
  EXPECT_THAT(Passed(MakeGood()), ElementsAre(true, true, true, true));
  Evaluation few = MakeGood();
  few.comparisons[0].pairs = 4;
  EXPECT_THAT(Passed(few), ElementsAre(false, true, true, true));
  Evaluation unsure = MakeGood();
  unsure.config.confidence = 0.1;
  EXPECT_THAT(Passed(unsure), ElementsAre(false, true, true, true));
  Evaluation one_draw = MakeGood();
  one_draw.config.resamples = 1;
  EXPECT_THAT(Passed(one_draw), ElementsAre(false, true, true, true));
}

TEST(PromotionGatesTest, WhatThePermutationTestCallsNoiseDoesNotPass) {
  Evaluation noise = MakeGood();
  noise.comparisons[0].differences[0].verdict = Verdict::kNoise;
  EXPECT_THAT(Passed(noise), ElementsAre(true, true, false, true));
}

// PPO may have found what fools the reward: a judge that it never saw has a say.
TEST(PromotionGatesTest, EveryIndependentJudgeMustFindItLessToxicToo) {
  Evaluation evaluation = MakeEvaluation({-0.2, -0.3, -0.1}, {0, -0.01, 0.01});
  evaluation.judges = {{.name = "reward"}, {.name = "second", .independent = true}};
  evaluation.scorings = {{"reward", "summary"}, {"reward", "whole"}, {"second", "summary"}};
  std::vector<Difference>& differences = evaluation.comparisons[0].differences;
  differences[0].scoring = evaluation.scorings[0];
  differences[1].scoring = evaluation.scorings[1];
  Difference second = MakeDifference("toxicity", {-0.1, -0.2, -0.05});
  second.scoring = evaluation.scorings[2];
  differences.push_back(second);
  auto gates = PromotionGates(evaluation, "tuned", {});
  ASSERT_TRUE(gates.ok()) << gates.status();
  ASSERT_EQ(gates->size(), 5u) << "the reward under another text has no say";
  EXPECT_EQ((*gates)[3].name, "judge");
  EXPECT_TRUE((*gates)[3].passed) << (*gates)[3].detail;
  EXPECT_THAT((*gates)[3].detail, HasSubstr("second: "));
  differences.back().difference = {0.1, 0.05, 0.2};
  gates = PromotionGates(evaluation, "tuned", {});
  EXPECT_TRUE((*gates)[2].passed) << "the reward still says so";
  EXPECT_FALSE((*gates)[3].passed) << (*gates)[3].detail;
  differences.pop_back();
  EXPECT_FALSE((*PromotionGates(evaluation, "tuned", {}))[3].passed) << "was not measured";
}

TEST(PromotionGatesTest, BetterThanAnyAdapterIsNotEnough) {
  Evaluation other = MakeGood();
  other.arms[0] = {.name = "bad", .kind = "version", .version = 2, .sha256 = "bad"};
  EXPECT_THAT(Passed(other), ElementsAre(true, false, true, true));
  EXPECT_THAT(Passed(other, {.champion_sha256 = "another"}), ElementsAre(true, false, true, true));
  EXPECT_THAT(Passed(other, {.champion_sha256 = "bad"}), ElementsAre(true, true, true, true));
}

TEST(PromotionGatesTest, TheFiguresAreSaid) {
  const auto gates = PromotionGates(MakeEvaluation({-0.2, -0.3, -0.1}, {0, -0.01, 0.01}), "tuned",
                                    {.max_rouge_loss = 0.02});
  ASSERT_TRUE(gates.ok());
  EXPECT_THAT((*gates)[2].detail, HasSubstr("0.5000 -> 0.3000, -0.2000 [-0.3000, -0.1000]"));
  EXPECT_THAT((*gates)[3].detail, HasSubstr("a loss above 0.0200 is excluded"));
}

TEST(PromotionGatesTest, WhatWasNotMeasuredDoesNotPass) {
  Evaluation evaluation = MakeEvaluation({-0.2, -0.3, -0.1}, {});
  evaluation.comparisons[0].differences.pop_back();
  const auto gates = PromotionGates(evaluation, "tuned", {.max_rouge_loss = 0.02});
  ASSERT_TRUE(gates.ok());
  EXPECT_FALSE((*gates)[3].passed);
  EXPECT_THAT((*gates)[3].detail, HasSubstr("no references"));
}

TEST(PromotionGatesTest, UnknownArmsAndBadMarginsAreNamed) {
  const Evaluation evaluation = MakeEvaluation({}, {});
  const auto unknown = PromotionGates(evaluation, "base", {});
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("tuned"));
  for (const double margin : {-0.1, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_EQ(PromotionGates(evaluation, "tuned", {.max_rouge_loss = margin}).status().code(),
              absl::StatusCode::kInvalidArgument);
}

}  // namespace promotion_gates_test
}  // namespace mellow::eval
