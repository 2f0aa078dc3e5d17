#include "services/cli/terminal/table.h"

#include <gtest/gtest.h>

#include "absl/strings/str_split.h"

namespace mellow::cli {
namespace {

TEST(FormatTableTest, AlignsNumbersRightAndTextLeftByCharacters) {
  EXPECT_EQ(FormatTable({{"NAME", "N"}, {"caf\xC3\xA9", "5"}, {"b", "-"}, {"c", "1234"}}),
            "NAME     N\n"
            "caf\xC3\xA9     5\n"
            "b        -\n"
            "c     1234\n");
}

TEST(FormatTableTest, NotesStandBelowTheirRowsAndFit) {
  const std::string text = FormatTable({{"NAME", "N"}, {"a", "5"}, {"b", "12"}},
                                       {{},
                                        {"why: " + std::string(30, 'x') +
                                         " and more words of "
                                         "which there are some, and then some more"},
                                        {}});
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  ASSERT_EQ(lines.size(), 6u) << text;
  EXPECT_EQ(lines[1], "a      5");
  EXPECT_EQ(lines[2].substr(0, 8), "  why: x");
  EXPECT_EQ(lines[3].substr(0, 2), "  ");
  EXPECT_EQ(lines[4], "b     12");
  for (const std::string& line : lines) EXPECT_LE(line.size(), 80u) << line;
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
