#include "services/wire/help_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "absl/strings/str_split.h"

namespace mellow::wire {
namespace {

using ::testing::HasSubstr;

TEST(WrappedHelpTest, DescriptionsGoOnBelowThemselves) {
  EXPECT_EQ(WrappedHelp("  --flag TEXT                 one two three four\n", 40),
            "  --flag TEXT                 one two\n"
            "                              three four\n");
  EXPECT_EQ(WrappedHelp("                              one two three four", 40),
            "                              one two\n"
            "                              three four")
      << "of a name that fills its column";
  EXPECT_EQ(WrappedHelp("Show this and that and more", 12), "Show this\nand that and\nmore");
  EXPECT_EQ(WrappedHelp("short\n\n", 40), "short\n\n");
}

TEST(WrappedHelpTest, ExamplesGoOnAfterABackslashAndBetweenWordsOfAShell) {
  EXPECT_EQ(WrappedHelp("It says so.\nExamples:\n  tool run --a 'one two' --b 3\n  tool\n", 26),
            "It says so.\nExamples:\n  tool run --a 'one two' \\\n      --b 3\n  tool\n");
  EXPECT_EQ(WrappedHelp("Example:\n  echo 'a long text of many words' | tool", 20),
            "Example:\n  echo \\\n      'a long text of many words' \\\n      | tool")
      << "what is quoted is no place to break";
}

TEST(WrapHelpTest, HelpOfAProgramAndOfItsCommandsFits) {
  CLI::App app("A program that says in many words what it is there for and for whom it may be.",
               "tool");
  WrapHelp(&app, 60);
  std::string value;
  app.add_option("--an-option-with-a-long-name", value,
                 "What it is for, which takes more words than fit into one line of a terminal");
  CLI::App* sub = app.add_subcommand("run", "Runs what there is to be run, and tells how it went");
  sub->add_option("--of", value, "What it runs, which takes more words than fit into one line");
  for (const CLI::App* each :
       {static_cast<const CLI::App*>(&app), static_cast<const CLI::App*>(sub)}) {
    const std::string help = each->help();
    EXPECT_THAT(help, HasSubstr("Usage"));
    for (const absl::string_view line : absl::StrSplit(help, '\n'))
      EXPECT_LE(line.size(), 60u) << line;
  }
}

}  // namespace
}  // namespace mellow::wire
