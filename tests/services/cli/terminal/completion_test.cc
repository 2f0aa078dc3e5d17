#include "services/cli/terminal/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CompletionTest : public ::testing::Test {
 protected:
  CompletionTest() : app_("A program.", "tool") {
    std::string value;
    bool flag = false;
    app_.add_option("--connect", value);
    CLI::App* up = app_.add_subcommand("up", "");
    up->add_option("--policies,-p", value);
    up->add_option("--policy-model", value);
    up->add_option("--hidden", value)->group("");
    up->add_option("--dtype", value)->type_name("float32|int8|FOLDER");
    up->add_option("--device", value)->type_name("auto|cuda|cuda:N");
    up->add_option("--as", value)->check(CLI::IsMember({"csv", "jsonl"}));
    up->add_option("--between", value)->check(CLI::Range(0, 4));
    app_.add_subcommand("promote", "")->add_option("WHAT", value)->type_name("newest|base|FOLDER");
    app_.add_subcommand("supervise", "")->group("");
    CLI::App* review = app_.add_subcommand("review", "");
    review->add_subcommand("new", "")->add_flag("--items", flag);
    review->add_subcommand("summary", "");
    std::ofstream(folder_ / "script") << BashCompletion(app_);
  }

  // What bash offers for the last of the words; where that is nothing, bash goes
  // on with file names (-o default).
  std::vector<std::string> Complete(const std::vector<std::string>& words) {
    const std::string command = absl::StrCat(
        "bash -c 'source \"", folder_ / "script", "\"; complete -p tool >/dev/null || exit 1; ",
        "COMP_WORDS=(", absl::StrJoin(words, " "), words.back().empty() ? "\"\"" : "",
        "); COMP_CWORD=", words.size() - 1, "; _tool; echo \"${COMPREPLY[*]}\"' 2>&1");
    FILE* pipe = popen(command.c_str(), "r");
    std::string out;
    char buffer[256];
    while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) out += buffer;
    EXPECT_EQ(pclose(pipe), 0) << out;
    return absl::StrSplit(out, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  }

  testing::TempFolder folder_;
  CLI::App app_;
};

TEST_F(CompletionTest, CommandsAndTheirCommands) {
  EXPECT_THAT(Complete({"tool", ""}), ElementsAre("up", "promote", "review"));
  EXPECT_THAT(Complete({"tool", "r"}), ElementsAre("review"));
  EXPECT_THAT(Complete({"tool", "review", ""}), ElementsAre("new", "summary"));
  EXPECT_THAT(Complete({"tool", "--connect", "x", "review", "s"}), ElementsAre("summary"));
  EXPECT_THAT(Complete({"tool", "s"}), IsEmpty());  // supervise is hidden
}

TEST_F(CompletionTest, OptionsOfTheCommandAndNoOther) {
  EXPECT_THAT(Complete({"tool", "up", "--pol"}), ElementsAre("--policies", "--policy-model"));
  EXPECT_THAT(Complete({"tool", "up", "--h"}), ElementsAre("--help"));
  EXPECT_THAT(Complete({"tool", "--c"}), ElementsAre("--connect"));
  EXPECT_THAT(Complete({"tool", "review", "new", "--i"}), ElementsAre("--items"));
  EXPECT_THAT(Complete({"tool", "review", "--i"}), IsEmpty());
}

TEST_F(CompletionTest, TheValuesThatAnOptionNames) {
  EXPECT_THAT(Complete({"tool", "up", "--dtype", ""}), ElementsAre("float32", "int8"));
  EXPECT_THAT(Complete({"tool", "up", "--device", "c"}), ElementsAre("cuda"));
  EXPECT_THAT(Complete({"tool", "up", "-p", "1", "--as", ""}), ElementsAre("csv", "jsonl"));
  EXPECT_THAT(Complete({"tool", "up", "-p", "1", "--as", "j"}), ElementsAre("jsonl"));
  EXPECT_THAT(Complete({"tool", "up", "--dtype", "int8", "--as"}), ElementsAre("--as"));
  EXPECT_THAT(Complete({"tool", "up", "--between", ""}), IsEmpty());
  EXPECT_THAT(Complete({"tool", "promote", "--dtype", "f"}), IsEmpty()) << "not its option";
  EXPECT_THAT(Complete({"tool", "promote", "n"}), ElementsAre("newest"));
  EXPECT_THAT(Complete({"tool", "promote", "deploy/"}), IsEmpty()) << "a folder";
}

TEST_F(CompletionTest, FilesWhereNoCommandFollows) {
  EXPECT_THAT(Complete({"tool", "up", "deploy/r"}), IsEmpty());
  EXPECT_THAT(Complete({"tool", "review", "new", "x"}), IsEmpty());
}

}  // namespace
}  // namespace mellow::cli
