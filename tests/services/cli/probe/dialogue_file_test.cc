#include "services/cli/probe/dialogue_file.h"

#include <gtest/gtest.h>

#include <string>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

std::string Write(const testing::TempFolder& folder, const std::string& text) {
  const std::string path = folder.path() + "/data.jsonl";
  EXPECT_TRUE(WriteFileAtomic(path, text).ok());
  return path;
}

TEST(ReadDialoguesTest, KeepsTheFirstRowsThatPass) {
  const testing::TempFolder folder;
  // The bounds count characters: the second row has three.
  const std::string path = Write(folder,
                                 "{\"dialogue\": \"ab\", \"summary\": \"s1\"}\n{\"dialogue\": "
                                 "\"\u00e4\u00e4\u00e4\", \"summary\": \"s2\"}\n"
                                 "{\"dialogue\": \"abcd\", \"summary\": \"s3\"}\n{\"dialogue\": "
                                 "\"abc\", \"summary\": \"s4\"}\n");
  const auto rows = ReadDialogues(path, {.limit = 1, .min_chars = 2, .max_chars = 3});
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ((*rows)[0].summary, "s2");
  EXPECT_EQ(ReadDialogues(path, {})->size(), 4U);
}

TEST(ReadDialoguesTest, SummariesMayBeAbsentDialoguesNot) {
  const testing::TempFolder folder;
  const auto rows = ReadDialogues(Write(folder, "{\"dialogue\": \"ab\"}\n"), {});
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ((*rows)[0].summary, "");
  EXPECT_FALSE(ReadDialogues(Write(folder, "{\"text\": \"ab\"}\n"), {}).ok());
  EXPECT_FALSE(ReadDialogues(Write(folder, "{\"dialogue\": \"ab\"}\n"), {.min_chars = 10}).ok());
}

}  // namespace
}  // namespace mellow::cli
