#include "common/eval/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"

namespace mellow::eval {
namespace analysis_test {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

double Uniform(size_t row, uint32_t stream) {
  return PhiloxUniform({static_cast<uint32_t>(row), 0, 0, 0}, {stream, 0});
}

Sample MakeSample(const std::string& summary, double toxicity) {
  Sample sample{.summary = summary, .tokens = 4, .kl = 2};
  sample.scores = {{.toxicity = toxicity, .logit = 1 - toxicity}, {.toxicity = 0.4, .logit = 0.6}};
  sample.rouge = RowRouge{.rouge1 = 0.5, .rouge2 = 0.25, .rouge_l = 0.5, .rouge_lsum = 0.5};
  return sample;
}

// `n` prompts, two samples each, judged by two judges; arm 1 has `change` more toxicity than arm 0,
// with half of `noise` more or less in turn.
Evaluation MakeEvaluation(size_t n, double change, double noise) {
  Evaluation e;
  e.config.prompts = static_cast<int64_t>(n);
  e.config.sampling.samples = 2;
  e.config.resamples = 2000;
  e.config.permutations = 2000;
  e.judges = {{.name = "reward", .label = "nothate", .toxic_label = "hate"},
              {.name = "other", .independent = true, .label = "toxic", .toxic_label = "toxic"}};
  e.scorings = {{.judge = "reward", .text = kSummaryScoring},
                {.judge = "other", .text = kSummaryScoring}};
  e.arms = {{.name = "base"}, {.name = "ppo", .version = 3}};
  for (size_t i = 0; i < n; ++i) {
    PromptRow row{.index = static_cast<int64_t>(i), .references = {"a"}};
    row.dialogue = i % 2 == 0 ? "A woman asks." : "Someone asks.";
    row.columns["topic"] = i % 4 == 0 ? "post" : i == 1 ? "rare" : "food";
    const double toxicity = 0.3 + 0.4 * Uniform(i, 1);
    const double after = toxicity + change + noise * (i % 2 == 0 ? 0.5 : -0.5);
    row.arms = {{{MakeSample("one two", toxicity + 0.1), MakeSample("one", toxicity - 0.1)}},
                {{MakeSample("a b c a b c", after), MakeSample("", after)}}};
    e.rows.push_back(row);
  }
  return e;
}

const Difference& Find(const Evaluation& e, const std::string& measure,
                       const std::string& judge = "reward") {
  static const Difference kNone;
  for (const Difference& d : e.comparisons.at(0).differences) {
    if (d.measure == measure && (!d.scoring.has_value() || d.scoring->judge == judge)) return d;
  }
  ADD_FAILURE() << "no " << measure;
  return kNone;
}

TEST(AnalyzeTest, SummariesAreMeansOverPromptsAndDeviationsOverTexts) {
  Evaluation e = MakeEvaluation(2, 0, 0);
  for (size_t i = 0; i < 2; ++i) {
    e.rows[i].arms[0].samples[0].scores[0].toxicity = 0.2;
    e.rows[i].arms[0].samples[1].scores[0].toxicity = i == 0 ? 0.6 : 0.8;
  }
  e.rows[1].arms[1].samples[1].truncated = true;
  ASSERT_TRUE(Analyze(&e).ok());
  const ToxicitySummary& toxicity = e.summaries[0].toxicity[0];
  EXPECT_DOUBLE_EQ(toxicity.toxicity.mean, 0.45);
  EXPECT_DOUBLE_EQ(toxicity.toxic_share.mean, 0.5);
  EXPECT_DOUBLE_EQ(toxicity.expected_max.mean, 0.7);
  EXPECT_NEAR(toxicity.toxicity_sd, std::sqrt((0.25 * 0.25 * 2 + 0.15 * 0.15 + 0.35 * 0.35) / 4),
              1e-15);
  const ShapeSummary& shape = e.summaries[1].shape;
  EXPECT_EQ(shape.texts, 4);
  EXPECT_EQ(shape.empty, 2);
  EXPECT_EQ(shape.truncated, 1);
  EXPECT_DOUBLE_EQ(shape.words.mean, 3);
  EXPECT_DOUBLE_EQ(shape.repetition.mean, 0.125);
  EXPECT_DOUBLE_EQ(shape.distinct_1, 0.25);
  EXPECT_DOUBLE_EQ(shape.kl_per_token.mean, 0.5);
  EXPECT_DOUBLE_EQ(shape.kl_per_sequence.mean, 2);
  EXPECT_DOUBLE_EQ(e.summaries[1].rouge->rouge2.mean, 0.25);
}

TEST(AnalyzeTest, VerdictsKnowWhichWayIsBetter) {
  Evaluation e = MakeEvaluation(60, -0.2, 0.1);
  ASSERT_TRUE(Analyze(&e).ok());
  const Difference& toxicity = Find(e, "toxicity");
  EXPECT_EQ(toxicity.verdict, Verdict::kBetter);
  EXPECT_NEAR(toxicity.difference.mean, -0.2, 0.02);
  EXPECT_LT(toxicity.difference.upper, 0);
  EXPECT_LT(toxicity.p_value, 0.001);
  EXPECT_NEAR(*toxicity.relative, -0.4, 0.1);
  EXPECT_EQ(Find(e, "logit").verdict, Verdict::kBetter);  // of nothate: higher
  EXPECT_EQ(Find(e, "repetition").verdict, Verdict::kWorse);
  EXPECT_EQ(Find(e, "words").verdict, Verdict::kChanged);
  EXPECT_EQ(Find(e, "rouge1").verdict, Verdict::kNoise);
  EXPECT_EQ(Find(e, "rouge1").p_value, 1);
  EXPECT_THAT(e.notes, Contains(AllOf(HasSubstr("judge other does not confirm"))));
  EXPECT_THAT(e.notes, Contains(AllOf(HasSubstr("60 of 120"), HasSubstr("without a word"))));
  Evaluation worse = MakeEvaluation(60, 0.2, 0.1);
  ASSERT_TRUE(Analyze(&worse).ok());
  EXPECT_EQ(Find(worse, "toxicity").verdict, Verdict::kWorse);
  EXPECT_EQ(Find(worse, "logit").verdict, Verdict::kWorse);
}

// A query and response is mostly the dialogue, which no adapter changes: its noise says nothing.
TEST(AnalyzeTest, ComparesJudgesByWhatTheySayOfTheSameText) {
  Evaluation e = MakeEvaluation(60, -0.2, 0.1);
  e.scorings = {{"reward", kSummaryScoring},
                {"reward", kQueryResponseScoring},
                {"other", kSummaryScoring},
                {"other", kQueryResponseScoring}};
  for (PromptRow& row : e.rows) {
    for (ArmRow& arm : row.arms) {
      for (Sample& sample : arm.samples) {
        const JudgeScore summary = sample.scores[0];
        sample.scores = {summary, {.toxicity = 0.4}, summary, {.toxicity = 0.4}};
      }
    }
  }
  ASSERT_TRUE(Analyze(&e).ok());
  EXPECT_THAT(e.notes, Each(Not(HasSubstr("does not confirm"))));
  EXPECT_THAT(Disagreements(e.comparisons[0]), IsEmpty());
  for (PromptRow& row : e.rows) row.arms[1].samples = row.arms[0].samples;
  for (PromptRow& row : e.rows) {
    for (Sample& sample : row.arms[1].samples) sample.scores[0].toxicity /= 2;
  }
  ASSERT_TRUE(Analyze(&e).ok());
  EXPECT_THAT(e.notes, Contains(HasSubstr("judge other does not confirm that ppo")));
  EXPECT_THAT(Disagreements(e.comparisons[0]), SizeIs(1));
}

TEST(AnalyzeTest, SaysThatAnEffectCannotBeToldFromNoiseAndHowManyPromptsItNeeds) {
  Evaluation e = MakeEvaluation(30, -0.005, 0.9);
  ASSERT_TRUE(Analyze(&e).ok());
  const Difference& d = Find(e, "toxicity");
  EXPECT_EQ(d.verdict, Verdict::kNoise);
  ASSERT_TRUE(d.needed.for_observed.has_value() && d.needed.for_change.has_value());
  EXPECT_GT(*d.needed.for_observed, 30);
  EXPECT_GT(*d.needed.for_change, 30);
  EXPECT_THAT(e.notes, Contains(AllOf(HasSubstr("cannot be told from noise"),
                                      HasSubstr(absl::StrCat(*d.needed.for_observed)))));
  EXPECT_THAT(e.notes, Contains(AllOf(HasSubstr("Too few prompts"),
                                      HasSubstr(absl::StrCat(*d.needed.for_change)))));
}

// The needed number is where the z-test's power comes from: (1.96 + 0.84)^2 sd^2 / change^2.
TEST(AnalyzeTest, NeededPromptsFollowFromTheSpreadOfTheDifferences) {
  Evaluation e = MakeEvaluation(40, 0, 0);
  for (size_t i = 0; i < 40; ++i) {
    for (int s = 0; s < 2; ++s) {
      e.rows[i].arms[0].samples[s].scores[0].toxicity = 0.5;
      e.rows[i].arms[1].samples[s].scores[0].toxicity = i % 2 == 0 ? 0.7 : 0.1;
    }
  }
  ASSERT_TRUE(Analyze(&e).ok());
  const Difference& d = Find(e, "toxicity");
  const double variance = 0.09 * 40 / 39;
  EXPECT_EQ(d.needed.for_observed, static_cast<int64_t>(std::ceil(7.8489 * variance / 0.01)));
  EXPECT_EQ(d.needed.for_change, static_cast<int64_t>(std::ceil(7.8489 * variance / 0.01)));
  EXPECT_EQ(d.needed.for_change_unpaired, d.needed.for_change);  // the baseline has no spread
  EXPECT_FALSE(Find(e, "rouge1").needed.for_observed.has_value());
}

TEST(AnalyzeTest, SlicesAreOfColumnsAndIdentitiesWithEnoughPrompts) {
  Evaluation e = MakeEvaluation(40, -0.2, 0.1);
  ASSERT_TRUE(Analyze(&e).ok());
  std::vector<std::string> names;
  for (const Slice& slice : e.slices)
    names.push_back(absl::StrCat(slice.column, "=", slice.value, ":", slice.prompts));
  EXPECT_THAT(names, ::testing::ElementsAre("topic=food:29", "topic=post:10", "identity=women:20"));
  EXPECT_THAT(e.notes, Contains("topic: 1 of its 3 values has fewer than 10 prompts and makes "
                                "no slice."));
  EXPECT_THAT(e.notes, ::testing::Not(Contains(HasSubstr("identity:"))));
  EXPECT_EQ(e.slices[0].toxicity.size(), 2u);
  EXPECT_EQ(e.slices[0].differences.at("ppo").verdict, Verdict::kBetter);
  EXPECT_NEAR(e.slices[0].differences.at("ppo").difference.mean,
              e.slices[0].toxicity.at("ppo") - e.slices[0].toxicity.at("base"), 1e-12);
}

TEST(AnalyzeTest, OneArmHasASummaryAndNoComparison) {
  Evaluation e = MakeEvaluation(3, 0, 0);
  e.arms.pop_back();
  for (PromptRow& row : e.rows) row.arms.pop_back();
  ASSERT_TRUE(Analyze(&e).ok());
  EXPECT_EQ(e.summaries.size(), 1u);
  EXPECT_TRUE(e.comparisons.empty());
}

TEST(AnalyzeTest, SaysWhatMustBeKnownOfTheNumbers) {
  Evaluation e = MakeEvaluation(12, -0.2, 0.1);
  e.scorings[1] = {.judge = "reward", .text = kQueryResponseScoring};
  e.config.sampling.do_sample = false;
  e.rows[0].arms[0].samples[0].scores[1].truncated = true;
  for (PromptRow& row : e.rows) row.arms[1].samples[0].truncated = true;
  ASSERT_TRUE(Analyze(&e).ok());
  EXPECT_THAT(e.notes, Contains(HasSubstr("mostly measure the dialogue")));
  EXPECT_THAT(e.notes, Contains(HasSubstr("no unbiased estimate")));
  EXPECT_THAT(e.notes,
              Contains(AllOf(HasSubstr("query and response"), HasSubstr("1 of 48 texts"))));
  EXPECT_THAT(e.notes, Contains(HasSubstr("50 % of the summaries ended at max_new_tokens")));
}

TEST(AnalyzeTest, RefusesWhatHasNoStatistics) {
  Evaluation none = MakeEvaluation(0, 0, 0);
  EXPECT_TRUE(absl::IsInvalidArgument(Analyze(&none)));
  Evaluation nan = MakeEvaluation(4, NAN, 0);
  EXPECT_TRUE(absl::IsInvalidArgument(Analyze(&nan)));
  Evaluation alpha = MakeEvaluation(4, 0, 0);
  alpha.config.alpha = 0;
  EXPECT_THAT(std::string(Analyze(&alpha).message()), HasSubstr("alpha is 0"));
  EXPECT_TRUE(alpha.summaries.empty());
}

// What is made is a file that EvaluationFromJson takes.
TEST(AnalyzeTest, ResultReadsBack) {
  Evaluation e = MakeEvaluation(20, -0.1, 0.1);
  ASSERT_TRUE(Analyze(&e).ok());
  const absl::StatusOr<Evaluation> read = EvaluationFromJson(EvaluationToJson(e));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(EvaluationToJson(*read), EvaluationToJson(e));
}

}  // namespace analysis_test
}  // namespace mellow::eval
