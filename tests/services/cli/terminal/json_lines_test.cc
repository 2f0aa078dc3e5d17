#include "services/cli/terminal/json_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <sstream>
#include <string>

#include "common/base/status.h"
#include "common/sync/mutex.h"

namespace mellow::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Doubles "n"; n == 13 is an error of the whole batch, as an engine's would be.
absl::StatusOr<std::vector<json::Value>> Double(const std::vector<json::Value>& objects) {
  std::vector<json::Value> answers;
  for (const json::Value& object : objects) {
    MELLOW_ASSIGN_OR_RETURN(const std::optional<int64_t> n, OptionalInt(object, "n"));
    if (n == 13) return absl::InvalidArgumentError("13 is unlucky");
    answers.push_back({{"twice", 2 * n.value_or(0)}});
  }
  return answers;
}

TEST(AnswerInBatchesTest, AnswersEveryLineInOrderWhateverTheBatch) {
  for (const int batch : {1, 2, 3, 10}) {
    std::istringstream in("{\"n\": 1}\n\nnot json\n{\"n\": 13}\n[1]\n{\"n\": 4}");
    std::ostringstream out;
    const LineCounts counts = AnswerInBatches(in, out, batch, Double);
    EXPECT_EQ(counts.lines, 6);
    EXPECT_EQ(counts.failed, 4);
    EXPECT_FALSE(counts.unreachable);
    EXPECT_THAT(Lines(out.str()), ElementsAre("{\"twice\":2}", HasSubstr("error"),
                                              HasSubstr("error"), "{\"error\":\"13 is unlucky\"}",
                                              HasSubstr("not a JSON object"), "{\"twice\":8}"))
        << "batch " << batch;
  }
}

TEST(AnswerInBatchesTest, NothingInNothingOut) {
  std::istringstream in("");
  std::ostringstream out;
  EXPECT_EQ(AnswerInBatches(in, out, 4, Double).lines, 0);
  EXPECT_EQ(out.str(), "");
}

TEST(AnswerInParallelTest, KeepsTheOrderWhenLaterLinesAreReadyFirst) {
  std::istringstream in("{\"n\": 0}\n{\"n\": 1}\n{\"n\": 2}\noops\n{\"n\": 4}\n");
  std::ostringstream out;
  Mutex mutex;
  CondVar changed;
  int answered = 0;
  const LineCounts counts =
      AnswerInParallel(in, out, 4, [&](const json::Value& line) -> absl::StatusOr<json::Value> {
        // Line 0 waits until another one has been answered.
        MutexLock lock(&mutex);
        if (line["n"] == 0) {
          while (answered == 0) changed.Wait(&mutex);
        }
        ++answered;
        changed.NotifyAll();
        return json::Value{{"n", line["n"]}};
      });
  EXPECT_THAT(Lines(out.str()),
              ElementsAre("{\"n\":0}", "{\"n\":1}", "{\"n\":2}", HasSubstr("error"), "{\"n\":4}"));
  EXPECT_EQ(counts.lines, 5);
  EXPECT_EQ(counts.failed, 1);
}

TEST(FilterExitCodeTest, ToleratesBadLinesButNotOnlyBadLines) {
  EXPECT_EQ(FilterExitCode({.lines = 0}, false), 0);
  EXPECT_EQ(FilterExitCode({.lines = 3}, true), 0);
  EXPECT_EQ(FilterExitCode({.lines = 3, .failed = 1}, false), 0);
  EXPECT_EQ(FilterExitCode({.lines = 3, .failed = 1}, true), 1);
  EXPECT_EQ(FilterExitCode({.lines = 3, .failed = 3}, false), 1);
  EXPECT_EQ(FilterExitCode({.lines = 3, .failed = 1, .unreachable = true}, false), 1);
}

TEST(FieldsTest, ErrorsNameTheField) {
  const json::Value object = {
      {"ids", json::Array{1, -2}}, {"text", 5},      {"flag", 1}, {"x", "y"},
      {"big", 4294967296},         {"none", nullptr}};
  EXPECT_THAT(std::string(IdsField(object, "ids").status().message()), HasSubstr("ids: -2"));
  EXPECT_THAT(std::string(IdsField(object, "text").status().message()), HasSubstr("text"));
  EXPECT_THAT(std::string(TextField(object, "text").status().message()), HasSubstr("text"));
  EXPECT_FALSE(OptionalBool(object, "flag").ok());
  EXPECT_FALSE(OptionalInt(object, "x").ok());
  EXPECT_EQ(OptionalInt(object, "big").value(), 4294967296);
  EXPECT_EQ(OptionalInt(object, "none").value(), std::nullopt);
  EXPECT_EQ(OptionalInt(object, "absent").value(), std::nullopt);
}

}  // namespace
}  // namespace mellow::cli
