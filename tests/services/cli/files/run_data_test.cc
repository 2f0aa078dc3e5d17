#include "services/cli/files/run_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/files/run_file.h"
#include "tests/testing/outside_data.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;

class RunDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream file(folder_ / "a.csv");
    file << "id;dialogue\n";
    for (int i = 0; i < 10; ++i)
      file << i << ";" << std::string(static_cast<size_t>(i), 'a' + static_cast<char>(i)) << "\n";
    spec_.mutable_data()->set_path(folder_ / "a.csv");
    spec_.mutable_data()->set_prompt_template("Say: {dialogue}");
    spec_.mutable_data()->set_min_chars(2);
    spec_.mutable_data()->set_max_chars(8);
    spec_.mutable_data()->set_train_fraction(0.5);
  }

  testing::TempFolder folder_;
  orchestrator::v1::RunSpec spec_;
};

TEST_F(RunDataTest, CountsRowsAndShowsTheFirstPrompt) {
  const auto data = ReadRunData(spec_, nullptr);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(RunRowsText(*data, 1000),
            absl::StrCat("10 rows in ", folder_ / "a.csv",
                         " (CSV with semicolons), 6 after the filter (characters of dialogue > 2 "
                         "and <= 8): 3 to train on, 3 held out\n"));
  EXPECT_THAT(absl::StrReplaceAll(RunRowsText(*data, 60), {{"\n", " "}}),
              HasSubstr(": 3 to train on"));
  for (const absl::string_view line : absl::StrSplit(RunRowsText(*data, 60), '\n'))
    EXPECT_LE(line.size(), 60u) << line;
  EXPECT_EQ(data->prompt.substr(0, 8),
            "Say: " + std::string(3, static_cast<char>('a' + data->line - 2)));
  EXPECT_THAT(RunExampleText(*data, 80),
              HasSubstr(absl::StrCat("first prompt, line ", data->line)));
  EXPECT_THAT(RunIdsText(*data, 80), HasSubstr("--model"));
  EXPECT_TRUE(RunDataJson(*data)["example"]["ids"].is_null());
}

TEST_F(RunDataTest, TheIdsAreThoseOfTheTokenizer) {
  const auto tokenizer = text::LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto data = ReadRunData(spec_, tokenizer->get());
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(*data->ids, *(*tokenizer)->Encode(data->prompt));
  const json::Value json = RunDataJson(*data);
  EXPECT_EQ(json["rows"], 10);
  EXPECT_EQ(json["filtered_rows"], 6);
  EXPECT_EQ(json["train_rows"], 3);
  EXPECT_EQ(json["held_out_rows"], 3);
  EXPECT_THAT(json["example"]["decoded"].string(), ::testing::EndsWith("</s>"));
}

TEST_F(RunDataTest, ErrorsNameTheField) {
  spec_.mutable_data()->set_prompt_template("{text}");
  EXPECT_THAT(std::string(ReadRunData(spec_, nullptr).status().message()),
              HasSubstr("data.prompt_template: "));
}

// The notebook's counts, where DialogSum is there.
TEST(NotebookDataTest, DialogSumHasTheNotebooksRows) {
  const std::string path = OutsideData("/dialogsum/dialogsum.train.jsonl");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto spec = LoadRunFile(SourceTree("/deploy/runs/dialogsum-flan-t5-base.json"),
                                {absl::StrCat("data.path=", path)});
  ASSERT_TRUE(spec.ok()) << spec.status();
  const auto data = ReadRunData(*spec, nullptr);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->rows.file_rows, 12460u);
  EXPECT_EQ(data->rows.filtered_rows, 10022u);
  EXPECT_EQ(data->rows.train.rows().size(), 8017u);
  EXPECT_EQ(data->rows.held_out.rows().size(), 2005u);
}

}  // namespace
}  // namespace mellow::cli
