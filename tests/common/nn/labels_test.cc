#include "common/nn/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace mellow::nn {
namespace labels_test {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Refusal(const std::vector<std::string>& labels, const std::string& wanted) {
  const absl::StatusOr<int> label = ToxicLabel(labels, wanted);
  EXPECT_TRUE(absl::IsInvalidArgument(label.status()));
  return std::string(label.status().message());
}

TEST(ToxicLabelTest, IsTheOneWithAKnownName) {
  EXPECT_EQ(*ToxicLabel({"nothate", "hate"}, ""), 1);
  EXPECT_EQ(*ToxicLabel({"toxic", "fine"}, ""), 0);
  EXPECT_EQ(*ToxicLabel({"Toxic", "Neutral"}, ""), 0);
  EXPECT_EQ(*ToxicLabel({"neutral", "Hate-Speech"}, ""), 1);
  EXPECT_EQ(*ToxicLabel({"threat", "severe_toxicity", "toxicity", "obscene"}, ""), 2);
}

TEST(ToxicLabelTest, IsTheOneAskedFor) {
  EXPECT_EQ(*ToxicLabel({"a", "b"}, "a"), 0);
  EXPECT_EQ(*ToxicLabel({"LABEL_0", "LABEL_1"}, "LABEL_1"), 1);
  EXPECT_EQ(*ToxicLabel({"toxic", "hate"}, "hate"), 1);
  EXPECT_THAT(Refusal({"a", "b"}, "x"), AllOf(HasSubstr("x:"), HasSubstr("a, b")));
  EXPECT_THAT(Refusal({"1", "1"}, "1"), HasSubstr("two labels"));
}

TEST(ToxicLabelTest, IsNeverGuessed) {
  EXPECT_THAT(Refusal({"LABEL_0", "LABEL_1"}, ""),
              AllOf(HasSubstr("must be given"), HasSubstr("LABEL_0, LABEL_1")));
  EXPECT_THAT(Refusal({"non-toxic", "unknown"}, ""), HasSubstr("none has a name"));
  EXPECT_THAT(Refusal({"hate", "normal", "offensive"}, ""),
              HasSubstr("hate and offensive could both be meant"));
  EXPECT_THAT(Refusal({"score"}, ""), HasSubstr("score"));
}

TEST(ProbabilitiesTest, FollowTheProblemType) {
  const std::vector<float> logits = {1000, 1000, -1000};
  EXPECT_THAT(Probabilities(logits, ProblemType::kSingleLabel), ElementsAre(0.5f, 0.5f, 0.0f));
  EXPECT_THAT(Probabilities(logits, ProblemType::kMultiLabel), ElementsAre(1.0f, 1.0f, 0.0f));
  EXPECT_THAT(Probabilities(logits, ProblemType::kRegression), ElementsAre(1000, 1000, -1000));
  EXPECT_FLOAT_EQ(Probabilities(std::vector<float>{0.2f}, ProblemType::kMultiLabel)[0],
                  1 / (1 + std::exp(-0.2f)));
}

}  // namespace labels_test
}  // namespace mellow::nn
