#include "services/cli/files/sft_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(SftFileTest, TheCommittedFilesAreRead) {
  const auto mini = LoadSftFile(mellow::SourceTree("/deploy/runs/mini-sft.json"), {});
  ASSERT_TRUE(mini.ok()) << mini.status();
  EXPECT_THAT(mini->data().path(), EndsWith("/deploy/runs/mini/train.jsonl"));
  EXPECT_TRUE(ReadFile(mini->data().path()).ok());
  const auto base =
      LoadSftFile(mellow::SourceTree("/deploy/runs/dialogsum-flan-t5-base-sft.json"), {});
  ASSERT_TRUE(base.ok()) << base.status();
  EXPECT_EQ(base->lora().r(), 32);
  EXPECT_EQ(base->lora().lora_alpha(), 32);
  EXPECT_EQ(base->lora().lora_dropout(), 0.05);
  EXPECT_EQ(base->optimizer().learning_rate(), 1e-3);
}

TEST(SftFileTest, OverridesTakeBothSpellingsAndUnknownFieldsAreNamed) {
  const testing::TempFolder folder;
  const std::string path = folder / "my run.json";
  ASSERT_TRUE(WriteFileAtomic(path, R"({"data": {"path": "a.csv", "dev_path": "b.csv"}})").ok());
  const auto spec =
      LoadSftFile(path, {"batchSize=3", "optimizer.learning_rate=0.5", "start_adapter=/x"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->batch_size(), 3);
  EXPECT_EQ(spec->optimizer().learning_rate(), 0.5);
  EXPECT_EQ(spec->data().dev_path(), folder / "b.csv");
  EXPECT_EQ(spec->name(), "my run");
  EXPECT_THAT(NewSftRunId(*spec), MatchesRegex("my-run-[0-9a-f]+"));
  EXPECT_NE(NewSftRunId(*spec), NewSftRunId(*spec));
  EXPECT_THAT(std::string(LoadSftFile(path, {"epoch=1"}).status().message()), HasSubstr("epoch"));
  ASSERT_TRUE(WriteFileAtomic(path, R"({"dat": {}})").ok());
  const auto unknown = LoadSftFile(path, {});
  EXPECT_TRUE(absl::IsInvalidArgument(unknown.status()));
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("dat"));
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr(path));
}

}  // namespace
}  // namespace mellow::cli
