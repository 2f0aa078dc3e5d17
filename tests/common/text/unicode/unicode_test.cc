#include "common/text/unicode/unicode.h"

#include "gtest/gtest.h"

namespace mellow::text {
namespace unicode_test {

TEST(UnicodeTest, ClassifiesAsTheReferencesRegularExpressions) {
  EXPECT_EQ(WordClassOf('a'), WordClass::kLetter);
  EXPECT_EQ(WordClassOf('Z'), WordClass::kLetter);
  EXPECT_EQ(WordClassOf('@'), WordClass::kOther);
  EXPECT_EQ(WordClassOf('['), WordClass::kOther);
  EXPECT_EQ(WordClassOf('7'), WordClass::kNumber);
  EXPECT_EQ(WordClassOf(0x00B2), WordClass::kNumber);  // superscript two
  EXPECT_EQ(WordClassOf(0x0663), WordClass::kNumber);  // Arabic-Indic three
  EXPECT_EQ(WordClassOf(0x65E5), WordClass::kLetter);  // a Han character
  EXPECT_EQ(WordClassOf(0x0301), WordClass::kOther);   // a combining mark is no letter
  EXPECT_EQ(WordClassOf(0x10FFFF), WordClass::kOther);
  EXPECT_EQ(WordClassOf(0x1C89),
            WordClass::kOther);  // a letter since Unicode 16, the reference knows 14
  EXPECT_EQ(WordClassOf(0x3000), WordClass::kSpace);
  EXPECT_EQ(WordClassOf(0x0085), WordClass::kSpace);
  EXPECT_EQ(WordClassOf(0x001C), WordClass::kOther);  // Python calls it a space, Unicode does not
  EXPECT_EQ(WordClassOf(0x200B), WordClass::kOther);
}

TEST(UnicodeTest, KnowsTheCharactersOfWords) {
  for (const char32_t c : {U'a', U'_', U'7', U'\u00E9', U'\u0301', U'\u65E5', U'\u200D'}) {
    EXPECT_TRUE(IsWordCharacter(c)) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : {U' ', U'-', U'\u00B2', U'\u200B', U'\U0001F600'}) {
    EXPECT_FALSE(IsWordCharacter(c)) << static_cast<uint32_t>(c);
  }
}

TEST(UnicodeTest, KeepsMarksWithTheirBase) {
  EXPECT_EQ(GraphemeClusterEnd("ab", 0), 1u);
  EXPECT_EQ(GraphemeClusterEnd("e\u0301\u0308x", 0), 5u);
  EXPECT_EQ(GraphemeClusterEnd("a\u200D\u0301", 0), 6u);  // zero-width joiner
  EXPECT_EQ(GraphemeClusterEnd("\u0E01\u0E33", 0), 6u);   // spacing mark
  EXPECT_EQ(GraphemeClusterEnd("\u06DDe\u0301", 0), 5u);  // prepended mark
  EXPECT_EQ(GraphemeClusterEnd("\u0301\u0301", 0), 4u);   // marks without base
}

TEST(UnicodeTest, BreaksAroundControlCharactersExceptInsideCrLf) {
  EXPECT_EQ(GraphemeClusterEnd("\r\nx", 0), 2u);
  EXPECT_EQ(GraphemeClusterEnd("\n\r", 0), 1u);
  EXPECT_EQ(GraphemeClusterEnd("\n\u0301", 0), 1u);
  EXPECT_EQ(GraphemeClusterEnd("\u06DD\n", 0), 2u);
  EXPECT_EQ(GraphemeClusterEnd("\u200B\u0301", 0), 3u);
}

}  // namespace unicode_test
}  // namespace mellow::text
