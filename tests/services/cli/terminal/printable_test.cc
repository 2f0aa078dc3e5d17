#include "services/cli/terminal/printable.h"

#include <gtest/gtest.h>

#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

TEST(PrintableTest, WhatATerminalObeysBecomesVisible) {
  EXPECT_EQ(Printable("a\x1b[31mred\x1b]0;title\x07"), "a\\x1b[31mred\\x1b]0;title\\x07");
  EXPECT_EQ(Printable("a\rb\b\x7f"), "a\\x0db\\x08\\x7f");
  EXPECT_EQ(Printable(absl::string_view("\0x", 2)), "\\x00x");
  EXPECT_EQ(Printable("\u009b2J"), "\\x9b2J") << "C1: CSI in one character";
  EXPECT_EQ(Printable("\u202eevil\u2066\u200f\u061c\u2028"),
            "\\u202eevil\\u2066\\u200f\\u061c\\u2028");
}

TEST(PrintableTest, TextStays) {
  EXPECT_EQ(Printable("caf\u00e9 \u65e5\u672c \U0001F600\n\tx"),
            "caf\u00e9 \u65e5\u672c \U0001F600\n\tx");
  EXPECT_EQ(Printable("\u05d0\u0627\u200d"), "\u05d0\u0627\u200d") << "scripts need their joiners";
}

TEST(PrintableTest, BytesThatAreNoUtf8AreReplaced) {
  EXPECT_EQ(Printable("a\xff\x9b"
                      "b"),
            "a\uFFFD\uFFFDb");
}

TEST(PrintableLineTest, IsOneLine) { EXPECT_EQ(PrintableLine("a\nb\tc\x1b"), "a b c\\x1b"); }

TEST(PrintableTest, TablesAndWrappedTextsUseIt) {
  EXPECT_EQ(FormatTable({{"name"}, {"x\x1b[2J\ny"}}), "name\nx\\x1b[2J y\n");
  EXPECT_EQ(Wrap("one\x1b[2J two", 40, "  "), "  one\\x1b[2J two\n");
}

}  // namespace
}  // namespace mellow::cli
