#include "common/report/escape.h"

#include <gtest/gtest.h>

#include <string>

namespace mellow::report {
namespace {

TEST(EscapeTest, HtmlHasNoMarkupLeft) {
  EXPECT_EQ(EscapeHtml("<b>\"Tom\" & 'Anna'</b>"),
            "&lt;b&gt;&quot;Tom&quot; &amp; &#39;Anna&#39;&lt;/b&gt;");
  EXPECT_EQ(EscapeHtml("a\nb\tc"), "a\nb\tc");
  EXPECT_EQ(EscapeHtml("gr\u00fc\u00df \U0001F600"), "gr\u00fc\u00df \U0001F600");
}

TEST(EscapeTest, WhatXmlDoesNotAllowIsReplaced) {
  EXPECT_EQ(EscapeHtml(std::string("a\0b\x1b", 4)), "a\uFFFDb\uFFFD");
  EXPECT_EQ(EscapeHtml("\xff"), "\uFFFD");
  EXPECT_EQ(EscapeHtml("\xEF\xBF\xBF"), "\uFFFD");                        // U+FFFF
  EXPECT_EQ(EscapeHtml("\xED\xA0\x80").find('\xED'), std::string::npos);  // a surrogate
}

TEST(EscapeTest, PlainLinesEndInNewlinesAndHaveNothingHarmful) {
  EXPECT_EQ(PlainLines("a\r\nb\rc\nd"), "a\nb\nc\nd");
  EXPECT_EQ(PlainLines("x\xff\x1b<b>"), "x\uFFFD\uFFFD<b>");
}

TEST(EscapeTest, MarkdownHasNoMarkupLeft) {
  EXPECT_EQ(EscapeMarkdown("#Person1#: *no* _way_ `x` [a](b) <b> a|b"),
            "\\#Person1\\#: \\*no\\* \\_way\\_ \\`x\\` \\[a\\](b) \\<b\\> a\\|b");
  EXPECT_EQ(EscapeMarkdown("a\nb"), "a b");
  EXPECT_EQ(EscapeMarkdown("- item"), "\\- item");
  EXPECT_EQ(EscapeMarkdown("-0.5"), "-0.5");
  EXPECT_EQ(EscapeMarkdown("12. item"), "12\\. item");
  EXPECT_EQ(EscapeMarkdown("12.5"), "12.5");
  EXPECT_EQ(EscapeMarkdown("    code"), "code");
  EXPECT_EQ(EscapeMarkdown("http://a.b www.c.d"), "http&#58;//a.b www&#46;c.d");
  EXPECT_EQ(EscapeMarkdown("@octocat &lt;"), "&#64;octocat &amp;lt;");
}

}  // namespace
}  // namespace mellow::report
