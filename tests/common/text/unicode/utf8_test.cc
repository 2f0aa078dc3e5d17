#include "common/text/unicode/utf8.h"

#include "gtest/gtest.h"

namespace mellow::text {
namespace utf8_test {

constexpr size_t kValid = absl::string_view::npos;

TEST(Utf8Test, AcceptsTheEdgesOfEveryLength) {
  for (const char* text :
       {"", "\x7F", "\u0080\u07FF", "\u0800\uD7FF\uE000\uFFFF", "\U00010000\U0010FFFF"}) {
    EXPECT_EQ(FirstInvalidUtf8(text), kValid) << text;
  }
  EXPECT_EQ(FirstInvalidUtf8(absl::string_view("a\0b", 3)), kValid);
}

TEST(Utf8Test, TellsWhereInvalidBytesBegin) {
  EXPECT_EQ(FirstInvalidUtf8("\x80"), 0u);                // continuation without lead
  EXPECT_EQ(FirstInvalidUtf8("ab\xC0\x80"), 2u);          // overlong
  EXPECT_EQ(FirstInvalidUtf8("\u00E9\xE0\x9F\x80"), 2u);  // overlong
  EXPECT_EQ(FirstInvalidUtf8("x\xED\xA0\x80"), 1u);       // surrogate
  EXPECT_EQ(FirstInvalidUtf8("x\xF0\x8F\xBF\xBF"), 1u);   // overlong
  EXPECT_EQ(FirstInvalidUtf8("x\xF4\x90\x80\x80"), 1u);   // beyond U+10FFFF
  EXPECT_EQ(FirstInvalidUtf8("x\xF5"), 1u);
  EXPECT_EQ(FirstInvalidUtf8("abc\xE2\x82"), 3u);  // cut off
}

TEST(Utf8Test, AppendsWhatItDecodes) {
  for (const char32_t c : {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    AppendUtf8(c, &text);
    const Utf8Char decoded = DecodeUtf8(text, 0);
    EXPECT_TRUE(decoded.valid);
    EXPECT_EQ(decoded.code_point, c);
    EXPECT_EQ(static_cast<size_t>(decoded.size), text.size());
  }
}

TEST(Utf8Test, ReplacesEachMaximalInvalidPartOnce) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xE2\x82z"), "a\uFFFDz");              // one cut-off character
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // no prefix of a valid one
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\u20AC"), "\u20AC");
}

TEST(Utf8Test, CountsCodePointsNotBytes) {
  EXPECT_EQ(CountCodePoints("a\u00E9\u20AC\U0001F600"), 4u);
}

}  // namespace utf8_test
}  // namespace mellow::text
