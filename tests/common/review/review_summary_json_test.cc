#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_replace.h"
#include "common/review/review_summary.h"

namespace mellow::review {
namespace {

using ::testing::HasSubstr;

ReviewSummary MakeSummary() {
  ReviewSummary summary;
  summary.study = "mini \"\u00e4\"";
  summary.arm = "28";
  summary.items = 40;
  summary.overlap_share = 1.0 / 3;
  RatingSummary rating = {.question = "readability"};
  rating.arm = ArmRating{.mean = {3.1, 2.9, 3.3}, .sd = 0.7, .histogram = {1, 2, 3, 4, 5}};
  rating.agreement = {.level = "ordinal", .units = 7, .why_not = "all values are the same"};
  summary.ratings = {rating, {.question = "coherence", .agreement = {.alpha = 0.25}}};
  summary.preference.items = {.wins = 3, .losses = 2, .ties = 1};
  summary.preference.win_rate = stats::Proportion{.rate = 0.6, .successes = 3, .trials = 5};
  summary.less_offensive = summary.preference;
  summary.notes = {"a note"};
  return summary;
}

TEST(ReviewSummaryJsonTest, ReadsBackWhatItWrote) {
  const std::string json = ReviewSummaryToJson(MakeSummary());
  const auto read = ReviewSummaryFromJson(json);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(ReviewSummaryToJson(*read), json);
  EXPECT_EQ(read->overlap_share, 1.0 / 3);
  EXPECT_FALSE(read->ratings[0].baseline.has_value());
  EXPECT_EQ(read->ratings[0].arm->histogram[4], 5);
  EXPECT_EQ(read->ratings[1].agreement.alpha, 0.25);
  EXPECT_EQ(read->preference.win_rate->trials, 5);
  EXPECT_EQ(read->less_offensive->items.wins, 3);
  // Summaries of before the question.
  const auto old = ReviewSummaryFromJson(absl::StrReplaceAll(json, {{"less_offensive", "other"}}));
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_FALSE(old->less_offensive.has_value());
}

TEST(ReviewSummaryJsonTest, SaysWhatIsWrong) {
  const std::string json = ReviewSummaryToJson(MakeSummary());
  const auto error = [&json](const char* from, const char* to) {
    return std::string(
        ReviewSummaryFromJson(absl::StrReplaceAll(json, {{from, to}})).status().message());
  };
  EXPECT_THAT(error("\"schema\": 1", "\"schema\": 2"), HasSubstr("schema: 2"));
  EXPECT_EQ(error("\"question\": \"coherence\"", "\"question\": 5"),
            "ratings[1].question: a string is needed");
  EXPECT_EQ(error("\"trials\"", "\"trails\""), "preference.win_rate.trials is missing");
  EXPECT_THAT(std::string(ReviewSummaryFromJson("[]").status().message()),
              HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace mellow::review
