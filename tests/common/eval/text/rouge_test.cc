#include "common/eval/text/rouge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/eval/text/rouge_aggregate.h"
#include "tests/testing/source_tree.h"

namespace mellow::eval {
namespace rouge_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RougeScores Score(const std::string& prediction, const std::vector<std::string>& references,
                  bool stemmer) {
  auto scores = ScoreRouge(prediction, references, stemmer);
  EXPECT_TRUE(scores.ok()) << scores.status();
  return scores.value_or(RougeScores{});
}

void ExpectScore(const RougeScore& got, double precision, double recall, double fmeasure) {
  EXPECT_NEAR(got.precision, precision, 1e-11);
  EXPECT_NEAR(got.recall, recall, 1e-11);
  EXPECT_NEAR(got.fmeasure, fmeasure, 1e-11);
}

// The expected numbers of the next three tests are rouge_score 0.1.2's on the same strings.
TEST(RougeTest, EqualsRougeScoreOnASentence) {
  const std::string prediction = "The ferry leaves at nine and Tom buys two tickets.";
  const std::vector<std::string> references = {
      "Tom is buying two tickets for the ferry at nine o'clock."};
  const RougeScores plain = Score(prediction, references, /*stemmer=*/false);
  ExpectScore(plain.rouge1, 0.7, 0.583333333333, 0.636363636364);
  ExpectScore(plain.rouge2, 0.333333333333, 0.272727272727, 0.3);
  ExpectScore(plain.rouge_l, 0.4, 0.333333333333, 0.363636363636);
  const RougeScores stemmed = Score(prediction, references, /*stemmer=*/true);
  ExpectScore(stemmed.rouge1, 0.8, 0.666666666667, 0.727272727273);
  ExpectScore(stemmed.rouge2, 0.444444444444, 0.363636363636, 0.4);
}

TEST(RougeTest, SummaryLevelComparesLineByLine) {
  const std::string prediction =
      "Anna apologised.\nThe cake was ready, the cake was late.\nBen left";
  const RougeScores scores =
      Score(prediction,
            {"Ben left early.\nThe late cake was ready and Anna apologised twice", "The cake"},
            /*stemmer=*/false);
  ExpectScore(scores.rouge1, 0.75, 0.75, 0.75);
  ExpectScore(scores.rouge_l, 0.333333333333, 0.333333333333, 0.333333333333);
  ExpectScore(scores.rouge_lsum, 0.666666666667, 0.666666666667, 0.666666666667);
}

TEST(RougeTest, LowerCasesAsPythonDoes) {
  EXPECT_THAT(RougeTokens("\xE2\x84\xAA"
                          "elvin \xC4\xB0stanbul caf\xC3\xA9s 3x",
                          /*stemmer=*/false),
              ElementsAre("kelvin", "i", "stanbul", "caf", "s", "3x"));
}

TEST(RougeTest, EmptyPredictionScoresZero) {
  ExpectScore(Score("", {"something"}, /*stemmer=*/true).rouge_lsum, 0, 0, 0);
}

TEST(RougeTest, RefusesToScoreWithoutAReference) {
  const auto scores = ScoreRouge("a", {}, /*stemmer=*/false);
  EXPECT_EQ(scores.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(scores.status().message()), HasSubstr("references"));
}

TEST(RougeTest, RefusesTextsWhoseTableWouldNotFit) {
  std::string words;
  for (int i = 0; i < 30000; ++i) words += "a ";
  EXPECT_EQ(ScoreRouge(words, {words}, /*stemmer=*/false).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// tests/parity/make_rouge_golden.py.
TEST(RougeTest, EqualsRougeScoreOnGeneratedTexts) {
  std::ifstream file(mellow::SourceTree("/tests/parity/golden/rouge.jsonl"));
  ASSERT_TRUE(file);
  int rows = 0;
  for (std::string line; std::getline(file, line); ++rows) {
    const auto row = nlohmann::json::parse(line);
    const RougeScores got = Score(row["prediction"], row["references"], row["stemmer"]);
    const auto expect = [&](const char* type, const RougeScore& score) {
      SCOPED_TRACE(type + std::string(" of row ") + std::to_string(rows));
      const auto& wanted = row["expected"][type];
      ExpectScore(score, wanted["precision"], wanted["recall"], wanted["fmeasure"]);
    };
    expect("rouge1", got.rouge1);
    expect("rouge2", got.rouge2);
    expect("rougeL", got.rouge_l);
    expect("rougeLsum", got.rouge_lsum);
  }
  EXPECT_GT(rows, 0);
}

TEST(AggregateRougeTest, IsTheMeanOfTheRowsWithBoundsAroundIt) {
  std::vector<RougeScores> rows(20);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].rouge1 = {0.5, i % 2 == 0 ? 1.0 : 0.0, 0.25};
    rows[i].rouge_lsum.fmeasure = 0.75;
  }
  const auto aggregate = AggregateRouge(rows, {});
  ASSERT_TRUE(aggregate.ok()) << aggregate.status();
  EXPECT_DOUBLE_EQ(aggregate->rouge1.precision.lower, 0.5);
  EXPECT_DOUBLE_EQ(aggregate->rouge1.recall.mean, 0.5);
  // A binomial of 20: 2.5 % of it is below 0.3.
  EXPECT_NEAR(aggregate->rouge1.recall.lower, 0.3, 0.051);
  EXPECT_NEAR(aggregate->rouge1.recall.upper, 0.7, 0.051);
  EXPECT_DOUBLE_EQ(aggregate->rouge_lsum.fmeasure.upper, 0.75);
  EXPECT_TRUE(absl::IsInvalidArgument(AggregateRouge({}, {}).status()));
}

}  // namespace rouge_test
}  // namespace mellow::eval
