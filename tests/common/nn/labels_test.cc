#include "common/nn/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::nn {
namespace {

using ::testing::HasSubstr;

TEST(ToxicLabelTest, FindsTheLabelOrNamesThoseThatThereAre) {
  EXPECT_EQ(*ToxicLabel({"nothate", "hate"}, ""), 1);
  EXPECT_EQ(*ToxicLabel({"toxic", "fine"}, ""), 0);
  EXPECT_EQ(*ToxicLabel({"a", "b", "c"}, ""), 2);
  EXPECT_EQ(*ToxicLabel({"a", "b"}, "a"), 0);
  const auto unknown = ToxicLabel({"a", "b"}, "x");
  EXPECT_TRUE(absl::IsInvalidArgument(unknown.status()));
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("a, b"));
}

TEST(SoftmaxTest, LargeLogitsDoNotOverflow) {
  const std::vector<float> p = Softmax(std::vector<float>{1000, 1000, -1000});
  EXPECT_EQ(p[0], 0.5f);
  EXPECT_EQ(p[2], 0.0f);
}

}  // namespace
}  // namespace mellow::nn
