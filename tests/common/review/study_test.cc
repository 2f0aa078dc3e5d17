#include "common/review/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"

namespace mellow::review {
namespace {

using ::testing::HasSubstr;

eval::Evaluation MakeEvaluation(int rows, const std::vector<std::string>& arms) {
  eval::Evaluation evaluation;
  evaluation.config.name = "mini";
  evaluation.config.sha256 = "c0";
  for (const std::string& name : arms)
    evaluation.arms.push_back({.name = name, .sha256 = "sha of " + name});
  for (int i = 0; i < rows; ++i) {
    eval::PromptRow row{.index = i, .dialogue = absl::StrCat("dialogue ", i)};
    for (const std::string& name : arms)
      row.arms.push_back(
          {{{.summary = absl::StrCat(name, " ", i)}, {.summary = "a second sample"}}});
    evaluation.rows.push_back(row);
  }
  return evaluation;
}

TEST(StudyTest, TakesTheFirstSampleOfTheNamedArms) {
  const auto study =
      MakeStudy(MakeEvaluation(5, {"base", "a", "b"}), {.baseline = "b", .arm = "base"});
  ASSERT_TRUE(study.ok()) << study.status();
  EXPECT_EQ(study->info.baseline, "b");
  EXPECT_EQ(study->info.arm, "base");
  EXPECT_EQ(study->info.arm_sha256, "sha of base");
  EXPECT_EQ(study->info.evaluation_sha256, "c0");
  ASSERT_EQ(study->items.size(), 5U);
  for (const StudyItem& item : study->items) {
    EXPECT_EQ(item.dialogue, absl::StrCat("dialogue ", item.row));
    EXPECT_EQ(item.baseline, absl::StrCat("b ", item.row));
    EXPECT_EQ(item.arm, absl::StrCat("base ", item.row));
  }
}

TEST(StudyTest, ChoosesAtRandomBySeedAndSharesTheOverlap) {
  const eval::Evaluation evaluation = MakeEvaluation(50, {"base", "a"});
  const auto rows = [&evaluation](uint64_t seed) {
    const auto study = MakeStudy(evaluation, {.items = 10, .overlap = 0.25, .seed = seed});
    EXPECT_TRUE(study.ok()) << study.status();
    std::vector<int64_t> chosen;
    int shared = 0;
    for (const StudyItem& item : study->items) {
      chosen.push_back(item.row);
      shared += item.shared ? 1 : 0;
    }
    EXPECT_EQ(shared, 3);  // 2.5, rounded
    EXPECT_EQ(std::set<int64_t>(chosen.begin(), chosen.end()).size(), 10U);
    return chosen;
  };
  EXPECT_EQ(rows(1), rows(1));
  EXPECT_NE(rows(1), rows(2));
}

TEST(StudyTest, LeavesOutPairsThatNobodyCanTellApart) {
  eval::Evaluation evaluation = MakeEvaluation(4, {"base", "a"});
  evaluation.rows[2].arms[1] = evaluation.rows[2].arms[0];
  const auto study = MakeStudy(evaluation, {});
  ASSERT_TRUE(study.ok()) << study.status();
  EXPECT_EQ(study->info.equal_pairs, 1);
  EXPECT_EQ(study->items.size(), 3U);
  for (const StudyItem& item : study->items) EXPECT_NE(item.row, 2);
  EXPECT_THAT(std::string(MakeStudy(evaluation, {.items = 4}).status().message()),
              HasSubstr("4 items wanted, but the evaluation has 3 rows"));
}

TEST(StudyTest, SaysWhatIsWrong) {
  const eval::Evaluation three = MakeEvaluation(2, {"base", "a", "b"});
  const auto error = [](const eval::Evaluation& evaluation, const StudyOptions& options) {
    const auto study = MakeStudy(evaluation, options);
    EXPECT_EQ(study.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(study.status().message());
  };
  EXPECT_THAT(error(three, {}), HasSubstr("3 arms"));
  EXPECT_THAT(error(three, {.baseline = "base", .arm = "c"}), HasSubstr("'c'"));
  EXPECT_THAT(error(three, {.baseline = "base", .arm = "c"}), HasSubstr("base, a, b"));
  EXPECT_THAT(error(three, {.baseline = "a", .arm = "a"}), HasSubstr("itself"));
  EXPECT_THAT(error(MakeEvaluation(2, {"x", "y"}), {.overlap = 1.5}), HasSubstr("overlap 1.5"));
  EXPECT_THAT(error(MakeEvaluation(2, {"x", "y"}), {.items = -1}), HasSubstr("items -1"));
  EXPECT_THAT(error(MakeEvaluation(0, {"x", "y"}), {}), HasSubstr("0 rows"));
}

}  // namespace
}  // namespace mellow::review
