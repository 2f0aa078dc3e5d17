#include "common/base/nearest_name.h"

#include <gtest/gtest.h>

namespace mellow {
namespace {

TEST(NearestNameTest, DistancesCountEditsAndExchanges) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("abc", ""), 3);
  EXPECT_EQ(EditDistance("", "ab"), 2);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("steps", "setps"), 1);
  EXPECT_EQ(EditDistance("ca", "abc"), 3);  // no part is edited twice
  EXPECT_EQ(EditDistance("max-steps", "MAX_STEPS"), 0);
}

TEST(NearestNameTest, OnlyWhatIsNearIsNamed) {
  const std::vector<std::string> known = {"steps", "seed", "learning_rate", "top_k", "top_p"};
  EXPECT_EQ(NearestName("step", known), "steps");
  EXPECT_EQ(NearestName("Steps", known), "steps");
  EXPECT_EQ(NearestName("learningRate", known), "learning_rate");
  EXPECT_EQ(NearestName("learn_rate", known), "learning_rate");
  EXPECT_EQ(NearestName("top_x", known), "top_k");  // of two equally near ones the first
  EXPECT_EQ(NearestName("temperature", known), "");
  EXPECT_EQ(NearestName("x", {"y"}), "");
  EXPECT_EQ(NearestName("", known), "");
  EXPECT_EQ(NearestName(std::string(1000, 's'), known), "");
  EXPECT_EQ(DidYouMean("sed", known), " (did you mean \"seed\"?)");
  EXPECT_EQ(DidYouMean("temperature", known), "");
}

}  // namespace
}  // namespace mellow
