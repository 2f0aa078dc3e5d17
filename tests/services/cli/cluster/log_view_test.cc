#include "services/cli/cluster/log_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::ElementsAre;

std::string Record(int second, const std::string& message) {
  return absl::StrCat(R"({"time":"2024-01-31T12:00:0)", second,
                      R"(.500Z","level":"info","service":"policy-0","message":")", message,
                      "\"}\n");
}

class LogReaderTest : public ::testing::Test {
 protected:
  void Append(const std::string& text) {
    std::ofstream(folder_ / "a.log", std::ios::app | std::ios::binary) << text;
  }
  static std::vector<std::string> Texts(const absl::StatusOr<std::vector<LogLine>>& lines) {
    std::vector<std::string> texts;
    if (!lines.ok()) return {std::string(lines.status().message())};
    for (const LogLine& line : *lines) texts.push_back(line.text);
    return texts;
  }
  testing::TempFolder folder_;
};

TEST_F(LogReaderTest, ReadsTheLastLinesAndThenWhatComes) {
  Append("one\ntwo\nthree\nhal");
  LogReader reader(folder_ / "a.log", "a");
  EXPECT_THAT(Texts(reader.Read(2)), ElementsAre("two", "three"));
  EXPECT_THAT(Texts(reader.Read(2)), ElementsAre());
  Append("f\nfour\n");
  EXPECT_THAT(Texts(reader.Read(1)), ElementsAre("half", "four")) << "what comes is shown whole";
  std::ofstream(folder_ / "a.log", std::ios::trunc) << "new\n";
  EXPECT_THAT(Texts(reader.Read(2)), ElementsAre("new"));
  EXPECT_FALSE(LogReader(folder_ / "none.log", "a").Read(1).ok());
}

TEST_F(LogReaderTest, TheEndOfALongFileBeginsWithAWholeLine) {
  for (int i = 0; i < 500; ++i) Append(absl::StrCat("line ", i, std::string(40, '.'), "\n"));
  const std::vector<std::string> texts = Texts(LogReader(folder_ / "a.log", "a").Read(3));
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_THAT(texts[0], ::testing::StartsWith("line 497."));
  EXPECT_EQ(Texts(LogReader(folder_ / "a.log", "a").Read(-1)).size(), 500u);
}

TEST_F(LogReaderTest, FilesAreMergedByTime) {
  Append(Record(1, "a") + "terminate called\n" + Record(3, "c"));
  std::ofstream(folder_ / "b.log") << Record(2, "b");
  const auto merged = MergeByTime(
      {*LogReader(folder_ / "a.log", "a").Read(-1), *LogReader(folder_ / "b.log", "b").Read(-1)});
  std::vector<std::string> services;
  for (const LogLine& line : merged) services.push_back(line.service);
  EXPECT_THAT(services, ElementsAre("a", "a", "b", "a"));
  EXPECT_EQ(LogText(merged[1]), "12:00:01.500 a            terminate called");
}

TEST(LogTextTest, IsARecordInOneReadableLine) {
  EXPECT_EQ(LogText({.service = "policy-0",
                     .text = R"({"time":"2024-01-31T12:00:05.123Z","level":"warning",)"
                             R"("service":"x","message":"node lost","node":"policy-1","count":3,)"
                             R"("error":"not here","empty":""})"}),
            "12:00:05.123 policy-0     warning node lost node=policy-1 count=3 "
            "error=\"not here\" empty=\"\"");
  EXPECT_EQ(LogText({.time = "", .service = "a", .text = "\x1b[31m{"}),
            "             a            \\x1b[31m{");
}

}  // namespace
}  // namespace mellow::cli
