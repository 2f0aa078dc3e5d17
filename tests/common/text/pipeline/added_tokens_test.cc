#include "common/text/pipeline/added_tokens.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::text {
namespace added_tokens_test {

using ::testing::ElementsAre;
using testing::IsEmpty;

AddedVocabulary Add(const std::vector<AddedToken>& tokens, const ModelVocabulary& model = {}) {
  AddedVocabulary added;
  for (const AddedToken& token : tokens) added.Add(token, model);
  return added;
}

// The parts of `text`, where the tokens have the ids 0, 1, ... in their order.
std::vector<std::pair<std::string, int>> Split(const std::vector<AddedToken>& tokens,
                                               absl::string_view text, bool normalized = false,
                                               bool split_special = false) {
  const AddedTokenSplitter splitter(Add(tokens), normalized, split_special,
                                    [](absl::string_view content) { return std::string(content); });
  std::vector<std::pair<std::string, int>> parts;
  splitter.ForEachPart(text, [&](const TextPart& part) {
    parts.emplace_back(part.text, part.id);
    return true;
  });
  return parts;
}

TEST(AddedTokensTest, CutsTextAtTokens) {
  EXPECT_THAT(Split({{"<x>"}}, "a <x><x> b"),
              ElementsAre(std::pair("a ", -1), std::pair("<x>", 0), std::pair("<x>", 0),
                          std::pair(" b", -1)));
  EXPECT_THAT(Split({{"<x>"}}, "<x"), ElementsAre(std::pair("<x", -1)));
  EXPECT_THAT(Split({{"<x>"}}, ""), IsEmpty());
}

TEST(AddedTokensTest, TheLeftmostThenLongestTokenWins) {
  EXPECT_THAT(Split({{"ab"}, {"abcd"}, {"bc"}}, "abcabcd"),
              ElementsAre(std::pair("ab", 0), std::pair("c", -1), std::pair("abcd", 1)));
}

TEST(AddedTokensTest, StripsWhiteSpaceBesideTokensButNotOtherTokens) {
  const std::vector<AddedToken> tokens = {{.content = "<m>", .lstrip = true},
                                          {.content = "<r>", .rstrip = true}};
  EXPECT_THAT(Split(tokens, "a \u3000\n<m> b"),
              ElementsAre(std::pair("a", -1), std::pair(" \u3000\n<m>", 0), std::pair(" b", -1)));
  EXPECT_THAT(Split(tokens, "<r>\u00A0 b"),
              ElementsAre(std::pair("<r>\u00A0 ", 1), std::pair("b", -1)));
  EXPECT_THAT(Split(tokens, "<r> <m>"), ElementsAre(std::pair("<r> ", 1), std::pair("<m>", 0)));
}

TEST(AddedTokensTest, TakesOnlyTokensOfItsKind) {
  const std::vector<AddedToken> tokens = {{.content = "<n>", .normalized = true}};
  EXPECT_THAT(Split(tokens, "<n>"), ElementsAre(std::pair("<n>", -1)));
  EXPECT_THAT(Split(tokens, "<n>", /*normalized=*/true), ElementsAre(std::pair("<n>", 0)));
}

TEST(AddedTokensTest, SingleWordsStandAlone) {
  const std::vector<AddedToken> tokens = {{.content = "ab", .single_word = true}};
  EXPECT_THAT(Split(tokens, "ab,cab"), ElementsAre(std::pair("ab", 0), std::pair(",cab", -1)));
  EXPECT_THAT(Split(tokens, "ab_ ab\u0301 \u00E9ab"),
              ElementsAre(std::pair("ab_ ab\u0301 \u00E9ab", -1)));
}

TEST(AddedTokensTest, SpecialTokensMayBeText) {
  const std::vector<AddedToken> tokens = {{.content = "<s>", .special = true}, {.content = "<t>"}};
  EXPECT_THAT(Split(tokens, "<s><t>", false, /*split_special=*/true),
              ElementsAre(std::pair("<s>", -1), std::pair("<t>", 1)));
}

TEST(AddedTokensTest, NumbersTokensBehindTheModel) {
  const ModelVocabulary model = {.ids = {{"a", 0}, {"b", 9}}, .size = 10};
  const AddedVocabulary added = Add({{.content = "x"}, {.content = "b"}, {.content = "y"}}, model);
  EXPECT_EQ(added.IdOf("x", model), 10);
  EXPECT_EQ(added.IdOf("b", model), 9);
  EXPECT_EQ(added.IdOf("y", model), 11);
  EXPECT_EQ(added.IdOf("a", model), 0);
  EXPECT_EQ(added.IdOf("z", model), -1);
}

TEST(AddedTokensTest, TheLaterFlagsCountButNotForWhereATokenIsLookedFor) {
  const std::vector<AddedToken> tokens = {
      {.content = "<m>", .normalized = true, .special = true},
      {.content = "<m>", .lstrip = true, .normalized = false, .special = true}};
  EXPECT_THAT(Split(tokens, "a <m>"), ElementsAre(std::pair("a <m>", -1)));
  EXPECT_THAT(Split(tokens, "a <m>", /*normalized=*/true),
              ElementsAre(std::pair("a", -1), std::pair(" <m>", 0)));
  EXPECT_TRUE(Add(tokens).Has(tokens[1]));
  EXPECT_FALSE(Add(tokens).Has(tokens[0]));
}

}  // namespace added_tokens_test
}  // namespace mellow::text
