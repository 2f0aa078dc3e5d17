#include "services/cli/files/step_name.h"

#include <gtest/gtest.h>

#include "services/cli/files/evaluation_file.h"

namespace mellow::cli {
namespace {

TEST(StepNameTest, IsARunAndANumber) {
  const auto step = ParseStepName("mini@12");
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->run, "mini");
  EXPECT_EQ(step->step, 12);
  EXPECT_EQ(ParseStepName("a@b@3")->run, "a@b");
}

TEST(StepNameTest, OtherNamesAreNone) {
  for (const char* name : {"", "mini", "@3", "mini@", "mini@x", "mini@-1", "mini@99999999999",
                           "org/name@12", "./mini@12"})
    EXPECT_FALSE(ParseStepName(name).has_value()) << name;
}

TEST(StepNameTest, IsNoFolderOfAnEvaluation) {
  EXPECT_FALSE(IsFolderArm("newest@3"));
  EXPECT_TRUE(IsFolderArm("./newest@3"));
}

}  // namespace
}  // namespace mellow::cli
