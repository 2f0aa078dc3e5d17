#include "services/cli/terminal/table.h"

#include <gtest/gtest.h>

namespace mellow::cli {
namespace {

TEST(FormatTableTest, AlignsNumbersRightAndTextLeftByCharacters) {
  EXPECT_EQ(FormatTable({{"NAME", "N"}, {"caf\xC3\xA9", "5"}, {"b", "-"}, {"c", "1234"}}),
            "NAME     N\n"
            "caf\xC3\xA9     5\n"
            "b        -\n"
            "c     1234\n");
}

TEST(ShortNumberTest, KeepsFourToSixCharactersOfMeaning) {
  EXPECT_EQ(ShortNumber(0.12345), "0.1235");
  EXPECT_EQ(ShortNumber(-12.345), "-12.35");
  EXPECT_EQ(ShortNumber(1234.5), "1234");
  EXPECT_EQ(ShortNumber(1.2e-9), "1.2e-09");
  EXPECT_EQ(ShortNumber(0), "0.0000");
}

TEST(ShortDurationTest, GrowsWithTheDuration) {
  EXPECT_EQ(ShortDuration(48.4), "48 s");
  EXPECT_EQ(ShortDuration(725), "12:05");
  EXPECT_EQ(ShortDuration(11045), "3:04:05");
}

TEST(WrapTest, BreaksAtSpacesAndCutsWordsThatDoNotFit) {
  EXPECT_EQ(Wrap("one two  three", 11, "  "), "  one two\n  three\n");
  EXPECT_EQ(Wrap("abcdefghijkl", 10, "  "), "  abcdefgh\n  ijkl\n");
  EXPECT_EQ(Wrap("", 10, "> "), "> \n");
}

}  // namespace
}  // namespace mellow::cli
