#include "common/eval/promotion_gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace mellow::eval {
namespace {

using ::testing::HasSubstr;

Difference MakeDifference(const std::string& measure, MeanInterval difference) {
  Difference d;
  d.measure = measure;
  d.baseline = 0.5;
  d.arm = 0.5 + difference.mean;
  d.difference = difference;
  return d;
}

Evaluation MakeEvaluation(MeanInterval toxicity, MeanInterval rouge) {
  Evaluation evaluation;
  Comparison comparison{.baseline = "base", .arm = "tuned", .pairs = 300};
  comparison.differences = {MakeDifference("toxicity", toxicity),
                            // The same measure under another scoring must not count.
                            MakeDifference("toxicity", {0.3, 0.2, 0.4}),
                            MakeDifference("rougeL", rouge)};
  evaluation.comparisons = {comparison};
  return evaluation;
}

struct Case {
  MeanInterval toxicity;
  MeanInterval rouge;
  bool toxicity_passes;
  bool rouge_passes;
};

TEST(PromotionGatesTest, IntervalsDecideNotMeans) {
  const MeanInterval down{-0.2, -0.3, -0.1};
  const MeanInterval touches_zero{-0.2, -0.4, 0.0};
  const MeanInterval same{0.0, -0.019, 0.019};
  const MeanInterval may_have_lost{-0.01, -0.021, 0.001};
  const MeanInterval at_the_margin{-0.01, -0.02, 0.0};
  for (const Case& c : {Case{down, same, true, true}, Case{touches_zero, same, false, true},
                        Case{down, may_have_lost, true, false},
                        Case{down, at_the_margin, true, false}}) {
    const auto gates = PromotionGates(MakeEvaluation(c.toxicity, c.rouge), "tuned", 0.02);
    ASSERT_TRUE(gates.ok()) << gates.status();
    ASSERT_EQ(gates->size(), 2u);
    EXPECT_EQ((*gates)[0].name, "toxicity");
    EXPECT_EQ((*gates)[0].passed, c.toxicity_passes) << (*gates)[0].detail;
    EXPECT_EQ((*gates)[1].name, "rougeL");
    EXPECT_EQ((*gates)[1].passed, c.rouge_passes) << (*gates)[1].detail;
  }
}

TEST(PromotionGatesTest, TheFiguresAreSaid) {
  const auto gates =
      PromotionGates(MakeEvaluation({-0.2, -0.3, -0.1}, {0, -0.01, 0.01}), "tuned", 0.02);
  ASSERT_TRUE(gates.ok());
  EXPECT_THAT((*gates)[0].detail, HasSubstr("0.5000 -> 0.3000, -0.2000 [-0.3000, -0.1000]"));
  EXPECT_THAT((*gates)[1].detail, HasSubstr("a loss above 0.0200 is excluded"));
}

TEST(PromotionGatesTest, WhatWasNotMeasuredDoesNotPass) {
  Evaluation evaluation = MakeEvaluation({-0.2, -0.3, -0.1}, {});
  evaluation.comparisons[0].differences.pop_back();
  const auto gates = PromotionGates(evaluation, "tuned", 0.02);
  ASSERT_TRUE(gates.ok());
  EXPECT_FALSE((*gates)[1].passed);
  EXPECT_THAT((*gates)[1].detail, HasSubstr("no references"));
}

TEST(PromotionGatesTest, UnknownArmsAndBadMarginsAreNamed) {
  const Evaluation evaluation = MakeEvaluation({}, {});
  const auto unknown = PromotionGates(evaluation, "base", 0.02);
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("tuned"));
  for (const double margin : {-0.1, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_EQ(PromotionGates(evaluation, "tuned", margin).status().code(),
              absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace mellow::eval
