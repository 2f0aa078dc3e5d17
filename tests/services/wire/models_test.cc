#include "services/wire/models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::wire {
namespace {

using ::testing::HasSubstr;

struct Flags {
  std::string model;
  std::string dtype = "float32";
};

Flags Parse(std::vector<std::string> arguments) {
  CLI::App app;
  Flags flags;
  app.add_option("--model", flags.model)->transform(ModelFolder());
  app.add_option("--dtype", flags.dtype)->transform(WeightTypeFlag());
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants a vector
  app.parse(arguments);
  return flags;
}

std::string Refusal(const std::vector<std::string>& arguments) {
  try {
    Parse(arguments);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(ModelFlagsTest, ANameOfTheHubBecomesItsFolderInTheCache) {
  const testing::TempFolder cache;
  setenv("HF_HUB_CACHE", cache.path().c_str(), 1);
  const std::string snapshot = cache / "models--org--name/snapshots/abc";
  std::filesystem::create_directories(snapshot);
  std::filesystem::create_directories(cache / "models--org--name/refs");
  ASSERT_TRUE(WriteFileSynced(cache / "models--org--name/refs/main", "abc\n").ok());
  EXPECT_EQ(Parse({"--model", "org/name"}).model, snapshot);
  EXPECT_EQ(Parse({"--model", "org/name@abc"}).model, snapshot);
  EXPECT_EQ(Parse({"--model", "/no/such/folder"}).model, "/no/such/folder");
  EXPECT_EQ(Parse({"--model", cache.path()}).model, cache.path());
  const std::string refusal = Refusal({"--model", "org/other"});
  EXPECT_THAT(refusal, HasSubstr("--model"));
  EXPECT_THAT(refusal, HasSubstr("deploy/tools/fetch_models.sh org/other"));
}

TEST(ModelFlagsTest, ShortNamesOfTypesBecomeTheLongOnes) {
  EXPECT_EQ(Parse({}).dtype, "float32");
  EXPECT_EQ(Parse({"--dtype", "fp32"}).dtype, "float32");
  EXPECT_EQ(Parse({"--dtype", "bf16"}).dtype, "bfloat16");
  EXPECT_EQ(Parse({"--dtype", "fp16"}).dtype, "float16");
  EXPECT_EQ(Parse({"--dtype", "int8"}).dtype, "int8");
  EXPECT_THAT(Refusal({"--dtype", "fp8"}), HasSubstr("\"fp8\""));
}

}  // namespace
}  // namespace mellow::wire
