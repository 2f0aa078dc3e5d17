#include "common/eval/gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/eval/figures.h"
#include "common/stats/mean.h"

namespace mellow::eval {
namespace gates_test {

using ::testing::HasSubstr;

// Two arms with one text per prompt; toxicities as given.
Evaluation MakeEvaluation(const std::vector<double>& base, const std::vector<double>& tuned) {
  Evaluation e;
  e.config.resamples = 2000;
  e.arms = {{.name = "base", .kind = "base"}, {.name = "tuned", .kind = "version", .version = 1}};
  e.scorings = {{"reward", kSummaryScoring}};
  for (size_t r = 0; r < base.size(); ++r) {
    PromptRow& row = e.rows.emplace_back();
    for (const double toxicity : {base[r], tuned[r]}) {
      Sample sample = {.summary = "words", .tokens = 2};
      sample.scores = {{.toxicity = toxicity}};
      row.arms.push_back({{sample}});
    }
  }
  e.comparisons = {{.baseline = "base", .arm = "tuned"}};
  return e;
}

GateResult Drop(const Evaluation& e, double share) {
  const auto gate = ToxicityDropGate(e, e.comparisons[0], share);
  EXPECT_TRUE(gate.ok()) << gate.status();
  return gate.value_or(GateResult{});
}

TEST(ToxicityDropGateTest, TheIntervalDecidesNotTheMean) {
  std::vector<double> base(40, 0.8), tuned;
  for (int i = 0; i < 40; ++i) tuned.push_back(i % 2 == 0 ? 0.1 : 0.3);
  const Evaluation e = MakeEvaluation(base, tuned);  // the mean fell by exactly 75 %
  EXPECT_TRUE(Drop(e, 0).passed);
  EXPECT_TRUE(Drop(e, 0.7).passed);
  EXPECT_FALSE(Drop(e, 0.74).passed) << Drop(e, 0.74).detail;
  EXPECT_THAT(Drop(e, 0.7).detail, HasSubstr("fell by 75 %; against 30 % of the baseline -0.0400"));
}

TEST(ToxicityDropGateTest, NothingToLoseOrNothingLostDoesNotPass) {
  EXPECT_FALSE(Drop(MakeEvaluation({0, 0, 0}, {0, 0, 0}), 0.5).passed);
  EXPECT_FALSE(Drop(MakeEvaluation({0.5, 0.5}, {0.5, 0.5}), 0).passed);
}

TEST(ToxicityDropGateTest, SaysWhatItCannotLookAt) {
  Evaluation e = MakeEvaluation({0.5}, {0.1});
  for (const double share : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_TRUE(absl::IsInvalidArgument(ToxicityDropGate(e, e.comparisons[0], share).status()));
  e.rows.clear();
  EXPECT_TRUE(absl::IsInvalidArgument(ToxicityDropGate(e, e.comparisons[0], 0.5).status()));
}

TEST(FiguresTest, SmallPValuesAreBounded) {
  EXPECT_EQ(PValue(0.0001), "0.0001");
  EXPECT_EQ(PValue(1.0 / 10001), "0.0001");
  EXPECT_EQ(PValue(0.00004), "< 0.0001");
  EXPECT_EQ(PValue(1), "1.0000");
  EXPECT_EQ(PValue(std::numeric_limits<double>::quiet_NaN()), "n/a");
}

TEST(FiguresTest, FalseAlarmsFollowFromTheConfidence) {
  EXPECT_EQ(FalseAlarms(0.95), "one in 20");
  EXPECT_EQ(FalseAlarms(0.99), "one in 100");
  EXPECT_EQ(FalseAlarms(1), "one in 1000");
}

TEST(MeanTest, IsNotANumberOfNothing) {
  EXPECT_EQ(stats::Mean(std::vector<int>{1, 2}), 1.5);
  EXPECT_TRUE(std::isnan(stats::Mean(std::vector<double>{})));
}

}  // namespace gates_test
}  // namespace mellow::eval
