#include "services/wire/process_flags.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <climits>
#include <string>
#include <vector>

namespace mellow::wire {
namespace {

TEST(ProcessFlagsTest, TheNameOfTheHostCanBePartOfTheNodesName) {
  std::array<char, HOST_NAME_MAX + 1> name = {};
  ASSERT_EQ(gethostname(name.data(), name.size()), 0);
  CLI::App app;
  ProcessFlags flags;
  AddProcessFlags(&app, &flags, "policy-0", "gRPC");
  const char* const arguments[] = {"program", "--node-id", "policy-{host}"};
  app.parse(3, arguments);
  EXPECT_EQ(flags.node_id, std::string("policy-") + name.data());
  EXPECT_EQ(WithHostName("{host}:{host}"), std::string(name.data()) + ":" + name.data());
  EXPECT_EQ(WithHostName("host"), "host");
}

TEST(ProcessFlagsTest, AFlagMayBeEmpty) {
  CLI::App app;
  std::string label = "default", model;
  std::vector<std::string> rest;
  app.add_option("--label", label);
  app.add_option("--model", model);
  app.add_option("rest", rest);
  const char* const arguments[] = {"program", "--label=", "--model=m=", "--", "--label="};
  ParseArguments(&app, 5, arguments);
  EXPECT_EQ(label, "");
  EXPECT_EQ(model, "m=");
  EXPECT_EQ(rest, std::vector<std::string>{"--label="});
}

}  // namespace
}  // namespace mellow::wire
