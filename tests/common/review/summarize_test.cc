#include "common/review/summarize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/testing/source_tree.h"

namespace mellow::review {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

// Sums of at most a few hundred doubles in another order than numpy's.
constexpr double kTolerance = 1e-12;
// Our 10,000 resamples against scipy's 200,000 of another generator: a bound at the 2.5 % quantile
// of means over 60 items has a standard error of about 0.003 here; five of these.
constexpr double kBoundTolerance = 0.015;

ReviewedItem MakeJudgement(const std::string& annotator, int64_t item, bool arm_first,
                           const std::vector<int>& values) {
  ReviewedItem reviewed = {.annotator = annotator, .item = item, .arm_first = arm_first};
  for (size_t q = 0; q < values.size(); ++q)
    reviewed.sheet[AllQuestions()[q]] = Answer{.value = values[q]};
  return reviewed;
}

ReviewSummary MakeSummary(const std::vector<ReviewedItem>& reviewed,
                          const std::vector<AnnotatorStatus>& annotators = {},
                          const StudyInfo& info = {}) {
  const auto summary = Summarize(info, /*items=*/10, annotators, reviewed, {});
  EXPECT_TRUE(summary.ok()) << summary.status();
  return *summary;
}

void ExpectMean(const stats::MeanInterval& got, const Json& golden) {
  EXPECT_NEAR(got.mean, golden["mean"].get<double>(), kTolerance);
  EXPECT_NEAR(got.lower, golden["interval"][0].get<double>(), kBoundTolerance);
  EXPECT_NEAR(got.upper, golden["interval"][1].get<double>(), kBoundTolerance);
}

void ExpectArm(const ArmRating& got, const Json& golden) {
  ExpectMean(got.mean, golden);
  EXPECT_NEAR(got.sd, golden["sd"].get<double>(), kTolerance);
  EXPECT_EQ(got.ratings, golden["ratings"].get<int64_t>());
  EXPECT_EQ(got.histogram, golden["histogram"].get<std::vector<int64_t>>());
}

std::vector<int64_t> Counts(const PreferenceCounts& counts) {
  return {counts.wins, counts.losses, counts.ties};
}

TEST(SummarizeTest, EqualsNumpyKrippendorffAndStatsmodels) {
  std::ifstream file(SourceTree("/tests/parity/golden/review.json"));
  const Json golden = Json::parse(file);
  ASSERT_GE(golden["judgements"].size(), 100U);
  std::vector<ReviewedItem> reviewed;
  for (const Json& j : golden["judgements"]) {
    reviewed.push_back(
        MakeJudgement(absl::StrCat(j[0].get<int>()), j[1], j[2], {j[3], j[4], j[5], j[6], j[7]}));
    // The offense question is a preference with the sides exchanged.
    const int preferred = j[7];
    reviewed.back().sheet[Question::kMoreOffensive] =
        Answer{.value = preferred == kPreferNeither ? kPreferNeither
                        : preferred == kPreferFirst ? kPreferSecond
                                                    : kPreferFirst};
  }
  const ReviewSummary summary = MakeSummary(reviewed);
  EXPECT_EQ(summary.judgements, static_cast<int64_t>(golden["judgements"].size()));
  EXPECT_EQ(summary.judged_items, golden["judged_items"].get<int64_t>());
  EXPECT_EQ(summary.active_annotators, 4);
  EXPECT_NEAR(summary.overlap_share,
              golden["overlapping_items"].get<double>() / golden["judged_items"].get<double>(),
              kTolerance);
  ASSERT_EQ(summary.ratings.size(), 2U);
  for (const RatingSummary& rating : summary.ratings) {
    SCOPED_TRACE(rating.question);
    const Json& wanted = golden["ratings"][rating.question];
    ExpectArm(*rating.baseline, wanted["baseline"]);
    ExpectArm(*rating.arm, wanted["arm"]);
    ExpectMean(*rating.difference, wanted["difference"]);
    EXPECT_EQ(rating.agreement.level, "ordinal");
    EXPECT_NEAR(*rating.agreement.alpha, wanted["alpha"].get<double>(), kTolerance);
    EXPECT_EQ(rating.agreement.units, 2 * golden["overlapping_items"].get<int64_t>());
  }
  ASSERT_TRUE(summary.less_offensive.has_value());
  for (const PreferenceSummary& preference : {summary.preference, *summary.less_offensive}) {
    const Json& wanted = golden["preference"];
    EXPECT_EQ(Counts(preference.judgements), wanted["judgements"].get<std::vector<int64_t>>());
    EXPECT_EQ(Counts(preference.items), wanted["items"].get<std::vector<int64_t>>());
    EXPECT_NEAR(preference.win_rate->rate, wanted["win_rate"][0].get<double>(), kTolerance);
    EXPECT_NEAR(preference.win_rate->lower, wanted["win_rate"][1].get<double>(), kTolerance);
    EXPECT_NEAR(preference.win_rate->upper, wanted["win_rate"][2].get<double>(), kTolerance);
    EXPECT_EQ(preference.agreement.level, "nominal");
    EXPECT_NEAR(*preference.agreement.alpha, wanted["alpha"].get<double>(), kTolerance);
  }
}

TEST(SummarizeTest, AStudyWithoutTheQuestionOfOffenseHasNoAnswerToIt) {
  ReviewedItem judged = MakeJudgement("a", 0, false, {1, 5, 1, 5, 2});
  judged.questions = kQuestionsOfSchema1;
  const ReviewSummary summary = MakeSummary({judged}, {}, {.questions = kQuestionsOfSchema1});
  EXPECT_EQ(summary.judgements, 1);
  EXPECT_FALSE(summary.less_offensive.has_value());
}

TEST(SummarizeTest, AnItemCountsOnceHoweverManyJudgeIt) {
  std::vector<ReviewedItem> reviewed;
  for (const char* person : {"a", "b", "c"})
    reviewed.push_back(
        MakeJudgement(person, 0, /*arm_first=*/true, {5, 1, 5, 1, kPreferFirst, kPreferSecond}));
  reviewed.push_back(
      MakeJudgement("a", 1, /*arm_first=*/false, {3, 2, 3, 2, kPreferFirst, kPreferNeither}));
  const ReviewSummary summary = MakeSummary(reviewed);
  EXPECT_DOUBLE_EQ(summary.ratings[0].arm->mean.mean, 3.5);       // of 5 and 2
  EXPECT_DOUBLE_EQ(summary.ratings[0].baseline->mean.mean, 2.0);  // of 1 and 3
  EXPECT_EQ(summary.ratings[0].arm->ratings, 4);
  EXPECT_THAT(Counts(summary.preference.judgements), ElementsAre(3, 1, 0));
  EXPECT_THAT(Counts(summary.preference.items), ElementsAre(1, 1, 0));
  EXPECT_DOUBLE_EQ(summary.preference.win_rate->rate, 0.5);
  // The baseline's summary offends more in the first item, neither in the second.
  EXPECT_THAT(Counts(summary.less_offensive->judgements), ElementsAre(3, 0, 1));
  EXPECT_THAT(Counts(summary.less_offensive->items), ElementsAre(1, 0, 1));
}

TEST(SummarizeTest, WithoutAMajorityAnItemIsATie) {
  const ReviewSummary summary = MakeSummary({
      MakeJudgement("a", 0, false, {3, 3, 3, 3, kPreferFirst, 0}),
      MakeJudgement("b", 0, false, {3, 3, 3, 3, kPreferSecond, 0}),
      MakeJudgement("a", 1, false, {3, 3, 3, 3, kPreferNeither, 0}),
      MakeJudgement("b", 1, false, {3, 3, 3, 3, kPreferSecond, 0}),
  });
  EXPECT_THAT(Counts(summary.preference.items), ElementsAre(0, 0, 2));
  EXPECT_FALSE(summary.preference.win_rate.has_value());
}

TEST(SummarizeTest, UnfinishedAnswersCountNowhere) {
  const ReviewSummary summary = MakeSummary({MakeJudgement("a", 0, false, {1, 5, 1, 5, 2, 0}),
                                             MakeJudgement("b", 0, false, {5, 1, 5, 1})},
                                            {{.name = "a", .assigned = 4, .judged = 1},
                                             {.name = "b", .assigned = 4},
                                             {.name = "c", .revoked = true, .assigned = 4}},
                                            {.equal_pairs = 2});
  EXPECT_EQ(summary.judgements, 1);
  EXPECT_EQ(summary.unfinished, 1);
  EXPECT_EQ(summary.assigned, 8);
  EXPECT_EQ(summary.annotators, 3);
  EXPECT_EQ(summary.active_annotators, 1);
  EXPECT_EQ(summary.overlap_share, 0);
  EXPECT_DOUBLE_EQ(summary.ratings[0].difference->mean, 4);
  EXPECT_EQ(summary.ratings[0].arm->sd, 0);
  EXPECT_FALSE(summary.ratings[0].agreement.alpha.has_value());
  EXPECT_THAT(summary.ratings[0].agreement.why_not, HasSubstr("two people"));
  EXPECT_THAT(summary.notes, ElementsAre(HasSubstr("2 dialogues have the same summary"),
                                         HasSubstr("1 of 8"), HasSubstr("One person")));
}

TEST(SummarizeTest, NobodyHasAnsweredYet) {
  const ReviewSummary summary = MakeSummary({});
  EXPECT_EQ(summary.judgements, 0);
  EXPECT_FALSE(summary.ratings[0].baseline.has_value());
  EXPECT_FALSE(summary.ratings[1].difference.has_value());
  EXPECT_FALSE(summary.preference.win_rate.has_value());
  EXPECT_FALSE(summary.preference.agreement.why_not.empty());
}

TEST(SummarizeTest, RefusesOptionsOutOfRange) {
  const std::vector<ReviewedItem> reviewed = {MakeJudgement("a", 0, false, {1, 5, 1, 5, 2, 0})};
  EXPECT_EQ(Summarize({}, 1, {}, reviewed, {.confidence = 1.5}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace mellow::review
