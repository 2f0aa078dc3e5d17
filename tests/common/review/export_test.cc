#include "common/review/export.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"

namespace mellow::review {
namespace {

std::vector<ReviewedItem> MakeReviewed() {
  ReviewedItem whole = {.annotator = "Ada, \"A\"",
                        .position = 2,
                        .item = 1,
                        .row = 17,
                        .shared = true,
                        .arm_first = true,
                        .saved = absl::FromUnixMillis(1700000000123)};
  int value = 1;
  for (const Question question : AllQuestions())
    whole.sheet[question] = Answer{.value = question == Question::kPreference      ? 1
                                            : question == Question::kMoreOffensive ? kPreferNeither
                                                                                   : value++};
  ReviewedItem part = {.annotator = "Bob", .saved = absl::FromUnixMillis(1700000000123)};
  part.sheet[Question::kCoherenceSecond] = Answer{.value = 4};
  return {whole, part};
}

std::vector<StudyItem> MakeTexts() {
  return {{.dialogue = "a\nb", .baseline = "x", .arm = "y"},
          {.dialogue = "c", .baseline = "say \"hi\"", .arm = "\xff"}};
}

TEST(ExportTest, CsvQuotesWhatItMustAndLeavesGaps) {
  const std::string csv = ExportCsv(MakeReviewed(), {});
  EXPECT_EQ(
      csv,
      "annotator,position,item,row,shared,first,readability_baseline,readability_arm,"
      "coherence_baseline,coherence_arm,preference,more_offensive,complete,saved\r\n"
      "\"Ada, \"\"A\"\"\",2,1,17,true,arm,2,1,4,3,arm,neither,true,2023-11-14T22:13:20.123Z\r\n"
      "Bob,0,0,0,false,baseline,,,,4,,,false,2023-11-14T22:13:20.123Z\r\n");
}

TEST(ExportTest, CsvWithTextsKeepsLineBreaks) {
  const std::string csv = ExportCsv(MakeReviewed(), MakeTexts());
  EXPECT_NE(csv.find(",saved,dialogue,summary_baseline,summary_arm\r\n"), std::string::npos);
  EXPECT_NE(csv.find(",c,\"say \"\"hi\"\"\",\xff\r\n"), std::string::npos);
  EXPECT_NE(csv.find(",\"a\nb\",x,y\r\n"), std::string::npos);
}

TEST(ExportTest, CsvHasNoFormulas) {
  std::vector<ReviewedItem> reviewed = MakeReviewed();
  reviewed[0].annotator = "@SUM(1)";
  reviewed[1].annotator = "+1";
  std::vector<StudyItem> texts = MakeTexts();
  texts[0] = {.dialogue = "=cmd|' /C calc'!A0", .baseline = "-2+3", .arm = "\tx"};
  texts[1] = {.dialogue = "\r=1", .baseline = "a = b", .arm = "1-2"};
  const std::string csv = ExportCsv(reviewed, texts);
  EXPECT_NE(csv.find("\r\n'@SUM(1),"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\r\n'+1,"), std::string::npos);
  EXPECT_NE(csv.find(",'=cmd|' /C calc'!A0,'-2+3,'\tx\r\n"), std::string::npos);
  EXPECT_NE(csv.find(",\"'\r=1\",a = b,1-2\r\n"), std::string::npos);
  EXPECT_NE(ExportJsonLines(reviewed, texts).find("\"=cmd|' /C calc'!A0\""), std::string::npos);
}

TEST(ExportTest, CsvOfNothingIsItsHeader) {
  const std::string csv = ExportCsv({}, {});
  EXPECT_EQ(csv.find("\r\n"), csv.size() - 2);
}

TEST(ExportTest, JsonLinesHaveTheSameFields) {
  const std::vector<std::string> lines =
      absl::StrSplit(ExportJsonLines(MakeReviewed(), MakeTexts()), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2U);
  const auto whole = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(whole["annotator"], "Ada, \"A\"");
  EXPECT_EQ(whole["preference"], "arm");
  EXPECT_EQ(whole["coherence_baseline"], 4);
  EXPECT_EQ(whole["summary_baseline"], "say \"hi\"");
  EXPECT_EQ(whole["summary_arm"], "\xEF\xBF\xBD");
  const auto part = nlohmann::json::parse(lines[1]);
  EXPECT_TRUE(part["preference"].is_null());
  EXPECT_EQ(part["coherence_arm"], 4);
  EXPECT_EQ(part["complete"], false);
}

}  // namespace
}  // namespace mellow::review
