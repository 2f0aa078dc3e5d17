#include "common/review/token.h"

#include <gtest/gtest.h>

#include <set>

namespace mellow::review {
namespace {

TEST(TokenTest, Has128BitsAndNeverComesTwice) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string token = NewToken();
    EXPECT_EQ(token.size(), 32U);
    EXPECT_TRUE(LooksLikeToken(token));
    seen.insert(token);
  }
  EXPECT_EQ(seen.size(), 1000U);
  // Each digit takes each value somewhere: no part is constant.
  for (size_t digit = 0; digit < 32; ++digit) {
    std::set<char> values;
    for (const std::string& token : seen) values.insert(token[digit]);
    EXPECT_EQ(values.size(), 16U) << digit;
  }
}

TEST(TokenTest, KnowsWhatIsNone) {
  EXPECT_FALSE(LooksLikeToken(""));
  EXPECT_FALSE(LooksLikeToken(std::string(31, 'a')));
  EXPECT_FALSE(LooksLikeToken(std::string(33, 'a')));
  EXPECT_FALSE(LooksLikeToken(std::string(32, 'A')));
  EXPECT_FALSE(LooksLikeToken(std::string(31, 'a') + "'"));
  EXPECT_FALSE(LooksLikeToken(std::string(32, '\0')));
}

TEST(TokenTest, ComparesWholeTexts) {
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("xbc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "ab"));
}

}  // namespace
}  // namespace mellow::review
