#include "common/base/plural.h"

#include <gtest/gtest.h>

namespace mellow {
namespace {

TEST(PluralTest, OneIsSingularAndThousandsAreSetApart) {
  EXPECT_EQ(Plural(1, "prompt"), "1 prompt");
  EXPECT_EQ(Plural(0, "prompt"), "0 prompts");
  EXPECT_EQ(Plural(2000, "prompt"), "2,000 prompts");
  EXPECT_EQ(Plural(1, "person", "people"), "1 person");
  EXPECT_EQ(Plural(3, "person", "people"), "3 people");
}

TEST(GroupedTest, SetsThousandsApart) {
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(3538944), "3,538,944");
  EXPECT_EQ(Grouped(-1000), "-1,000");
  EXPECT_EQ(Grouped(-100), "-100");
}

}  // namespace
}  // namespace mellow
