#include "common/report/attribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/match.h"

namespace mellow::report {
namespace {

// Toxic while "moron" is in it; keeps what it was asked.
struct FakeJudge {
  std::vector<std::vector<std::string>> asked;
  ScoreTexts Scores() {
    return [this](const std::vector<std::string>& texts) -> absl::StatusOr<std::vector<double>> {
      asked.push_back(texts);
      std::vector<double> scores;
      for (const std::string& text : texts)
        scores.push_back(absl::StrContains(text, "moron") ? 0.9 : 0.1);
      return scores;
    };
  }
};

TEST(AttributionTest, FindsTheWordThatTheJudgeMinds) {
  FakeJudge judge;
  const auto evidence = LeaveSpansOut({"You  are a moron."}, 10, judge.Scores());
  ASSERT_TRUE(evidence.ok()) << evidence.status();
  const TextEvidence& text = evidence->at(0);
  ASSERT_EQ(text.spans.size(), 4u);
  EXPECT_EQ(text.toxicity, 0.9);
  EXPECT_EQ(text.spans[3].begin, 11u);
  EXPECT_EQ(text.spans[3].end, 17u);
  EXPECT_EQ(text.spans[3].toxicity_without, 0.1);
  EXPECT_NEAR(text.spans[3].evidence, 2 * std::log(9.0), 1e-12);
  EXPECT_EQ(MarkOf(text, text.spans[3]), 3);
  EXPECT_EQ(text.spans[0].evidence, 0);
  EXPECT_EQ(MarkOf(text, text.spans[0]), 0);
  // Without a word no white space is left at the ends, nor doubled.
  EXPECT_EQ(judge.asked.at(1), (std::vector<std::string>{"You  a moron.", "You  are a",
                                                         "You  are moron.", "are a moron."}));
}

TEST(AttributionTest, AnInsultOfTwoWordsIsFoundWhereNoneOfThemTells) {
  const auto either = [](const std::vector<std::string>& texts) {
    std::vector<double> scores;
    for (const std::string& text : texts) {
      const bool toxic = absl::StrContains(text, "spineless") || absl::StrContains(text, "failure");
      scores.push_back(toxic ? 0.9 : 0.1);
    }
    return absl::StatusOr<std::vector<double>>(scores);
  };
  const std::string text = "He is a spineless failure today.";
  const auto evidence = LeaveSpansOut({text}, 10, either);
  ASSERT_EQ(evidence->at(0).spans.size(), 1u);
  const Span& span = evidence->at(0).spans[0];
  EXPECT_EQ(text.substr(span.begin, span.end - span.begin), "spineless failure");
  EXPECT_EQ(MarkOf(evidence->at(0), span), 3);
}

TEST(AttributionTest, ATextWithoutACauseKeepsItsWordsUnmarked) {
  const auto evidence = LeaveSpansOut({"a b c"}, 10, [](const std::vector<std::string>& texts) {
    return absl::StatusOr<std::vector<double>>(std::vector<double>(texts.size(), 0.9));
  });
  ASSERT_EQ(evidence->at(0).spans.size(), 3u);
  for (const Span& span : evidence->at(0).spans) EXPECT_EQ(MarkOf(evidence->at(0), span), 0);
}

TEST(AttributionTest, AsksForEqualTextsOnceAndInBatches) {
  FakeJudge judge;
  ASSERT_TRUE(
      LeaveSpansOut({"moron moron", "moron moron", "nice day", ""}, 2, judge.Scores()).ok());
  EXPECT_EQ(judge.asked, (std::vector<std::vector<std::string>>{
                             {"", "moron moron"}, {"nice day"}, {"moron"}, {""}}));
}

TEST(AttributionTest, ProbabilitiesOfZeroAndOneStayFinite) {
  const auto evidence = LeaveSpansOut({"a b"}, 8, [](const std::vector<std::string>& texts) {
    return absl::StatusOr<std::vector<double>>(
        std::vector<double>(texts.size(), texts[0] == "a b" ? 1.0 : 0.0));
  });
  EXPECT_LT(evidence->at(0).spans[0].evidence, 28);
  EXPECT_GT(evidence->at(0).spans[0].evidence, 27);
}

TEST(AttributionTest, ErrorsOfTheJudgeAreReturned) {
  EXPECT_EQ(
      LeaveSpansOut({"a"}, 8,
                    [](const std::vector<std::string>&) {
                      return absl::StatusOr<std::vector<double>>(absl::UnavailableError("gone"));
                    })
          .status()
          .message(),
      "gone");
  EXPECT_EQ(LeaveSpansOut({"a"}, 8,
                          [](const std::vector<std::string>&) {
                            return absl::StatusOr<std::vector<double>>(std::vector<double>());
                          })
                .status()
                .code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace mellow::report
