#include "common/nn/roberta_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::nn {
namespace roberta_labels_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<RobertaConfig> Labels(const char* fields) {
  return ParseRobertaConfig(
      std::string(R"({"model_type": "roberta")") + (*fields == 0 ? "" : ", ") + fields + "}",
      "config.json");
}

TEST(RobertaLabelsTest, MissingNamesAreTransformersOwn) {
  EXPECT_THAT(Labels("")->labels, ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_THAT(Labels(R"("id2label": null, "num_labels": 3)")->labels,
              ElementsAre("LABEL_0", "LABEL_1", "LABEL_2"));
}

TEST(RobertaLabelsTest, Id2LabelDecides) {
  const auto config = Labels(
      R"("id2label": {"1": "hate", "0": "nothate"}, "num_labels": 5, "label2id": {"hate": 0})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->labels, ElementsAre("nothate", "hate"));
  EXPECT_THAT(config->numeric_labels, ElementsAre(false, false));
}

TEST(RobertaLabelsTest, NamesMayBeNumbers) {
  const auto config = Labels(R"("id2label": {"0": -1, "1": "1", "2": 1})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->labels, ElementsAre("-1", "1", "1"));
  EXPECT_THAT(config->numeric_labels, ElementsAre(true, false, true));
}

TEST(RobertaLabelsTest, ProblemTypeFollowsFromTheLabelsUnlessItIsGiven) {
  const auto type = [](const char* fields) { return Labels(fields)->problem_type; };
  EXPECT_EQ(type(""), ProblemType::kSingleLabel);
  EXPECT_EQ(type(R"("problem_type": null)"), ProblemType::kSingleLabel);
  EXPECT_EQ(type(R"("id2label": {"0": "a"})"), ProblemType::kMultiLabel);
  EXPECT_EQ(type(R"("id2label": {"0": "a"}, "problem_type": "regression")"),
            ProblemType::kRegression);
  EXPECT_EQ(type(R"("problem_type": "regression")"), ProblemType::kRegression);
  EXPECT_EQ(type(R"("problem_type": "multi_label_classification")"), ProblemType::kMultiLabel);
  for (const char* unknown : {R"("problem_type": "ranking")", R"("problem_type": "")"}) {
    const absl::Status status = Labels(unknown).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << unknown;
    EXPECT_THAT(std::string(status.message()), HasSubstr("problem_type is")) << unknown;
  }
}

}  // namespace roberta_labels_test
}  // namespace mellow::nn
