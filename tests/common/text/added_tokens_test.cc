#include "common/text/added_tokens.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::text {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::pair<std::string, int>> Split(const std::vector<AddedToken>& tokens,
                                               absl::string_view text) {
  std::vector<std::pair<std::string, int>> parts;
  for (const TextPart& part : AddedTokenSplitter(tokens, /*normalized=*/false).Split(text)) {
    parts.emplace_back(part.text, part.id);
  }
  return parts;
}

TEST(AddedTokensTest, CutsTextAtTokens) {
  EXPECT_THAT(Split({{"<x>", 7}}, "a <x><x> b"),
              ElementsAre(std::pair("a ", -1), std::pair("<x>", 7), std::pair("<x>", 7),
                          std::pair(" b", -1)));
  EXPECT_THAT(Split({{"<x>", 7}}, "<x"), ElementsAre(std::pair("<x", -1)));
  EXPECT_THAT(Split({{"<x>", 7}}, ""), IsEmpty());
}

TEST(AddedTokensTest, TheLeftmostThenLongestTokenWins) {
  EXPECT_THAT(Split({{"ab", 1}, {"abcd", 2}, {"bc", 3}}, "abcabcd"),
              ElementsAre(std::pair("ab", 1), std::pair("c", -1), std::pair("abcd", 2)));
}

TEST(AddedTokensTest, StripsWhiteSpaceBesideTokensButNotOtherTokens) {
  const std::vector<AddedToken> tokens = {{.content = "<m>", .id = 1, .lstrip = true},
                                          {.content = "<r>", .id = 2, .rstrip = true}};
  EXPECT_THAT(Split(tokens, "a \u3000\n<m> b"),
              ElementsAre(std::pair("a", -1), std::pair(" \u3000\n<m>", 1), std::pair(" b", -1)));
  EXPECT_THAT(Split(tokens, "<r>\u00A0 b"),
              ElementsAre(std::pair("<r>\u00A0 ", 2), std::pair("b", -1)));
  EXPECT_THAT(Split(tokens, "<r> <m>"), ElementsAre(std::pair("<r> ", 2), std::pair("<m>", 1)));
}

TEST(AddedTokensTest, TakesOnlyTokensOfItsKind) {
  EXPECT_THAT(Split({{.content = "<n>", .id = 1, .normalized = true}}, "<n>"),
              ElementsAre(std::pair("<n>", -1)));
}

}  // namespace
}  // namespace mellow::text
