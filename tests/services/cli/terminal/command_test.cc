#include "services/cli/terminal/command.h"

#include <gtest/gtest.h>

namespace mellow::cli {
namespace {

TEST(CommandLineTest, IsTheProgramWithItsFlagsAndWordsThatAShellDoesNotTakeApart) {
  EXPECT_EQ(CommandLine({"runs"}), "mellow runs");
  SetInvocation({"build/bin/mellow", "--connect", "policy=a:1,reward=b:2"});
  EXPECT_EQ(CommandLine({"train", "my runs/a.json", "--set", "name=it's", ""}),
            "build/bin/mellow --connect policy=a:1,reward=b:2 train 'my runs/a.json' --set "
            "'name=it'\\''s' ''");
  SetInvocation({"mellow"});
}

TEST(CommandLineTest, BeginsWithWhatRunsTheProgramFromOutside) {
  SetInvocation({"/usr/bin/mellow", "--token-file", "my token"}, "docker compose run --rm cli");
  EXPECT_EQ(CommandLine({"watch", "run-1"}),
            "docker compose run --rm cli --token-file 'my token' watch run-1");
  SetInvocation({"mellow"});
}

}  // namespace
}  // namespace mellow::cli
