#include "common/rpc/token_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "absl/strings/match.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "tests/testing/stderr_to_file.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/wait_until.h"

namespace mellow::rpc {
namespace {

using ::mellow::testing::StderrToFile;
using ::mellow::testing::WaitUntil;
using ::testing::HasSubstr;
using ::testing::Not;

class TokenTableTest : public ::testing::Test {
 protected:
  void Write(const std::string& text, mode_t mode = 0600) {
    // Beside it first: a reader never sees the file with another mode.
    const std::string next = folder_ / "next";
    ASSERT_TRUE(WriteFileAtomic(next, text).ok());
    ASSERT_EQ(chmod(next.c_str(), mode), 0);
    ASSERT_EQ(rename(next.c_str(), path_.c_str()), 0);
  }
  absl::Status Open() { return TokenTable::Open(path_).status(); }

  const mellow::testing::TempFolder folder_;
  const std::string path_ = folder_ / "tokens";
};

TEST_F(TokenTableTest, TokensAndHashesWithCommentsAndBlankLines) {
  Write("# who may\n\n  aaaaaaaaaaaaaaaa#1  user ann  # her laptop\nsha256:" +
        Sha256Hex("bbbbbbbbbbbbbbbb") + "\toperator\tbob\r\n");
  const auto table = TokenTable::Open(path_);
  ASSERT_TRUE(table.ok()) << table.status();
  ASSERT_TRUE((*table)->Find("aaaaaaaaaaaaaaaa#1").has_value());
  EXPECT_EQ((*table)->Find("aaaaaaaaaaaaaaaa#1")->role, "user");
  EXPECT_EQ((*table)->Find("aaaaaaaaaaaaaaaa#1")->name, "ann");
  ASSERT_TRUE((*table)->Find("bbbbbbbbbbbbbbbb").has_value());
  EXPECT_EQ((*table)->Find("bbbbbbbbbbbbbbbb")->role, "operator");
  for (const char* none : {"", "aaaaaaaaaaaaaaaa", "ann"})
    EXPECT_FALSE((*table)->Find(none).has_value()) << none;
  EXPECT_FALSE((*table)->Find("sha256:" + Sha256Hex("bbbbbbbbbbbbbbbb")).has_value())
      << "who reads the file has no token";
}

TEST_F(TokenTableTest, NamesTheLineAndNeverTheToken) {
  const auto expect = [this](const std::string& text, const std::string& part) {
    Write(text);
    const absl::Status status = Open();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_ + ":2: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  };
  expect("#\nsecretsecretsecret user\n", "TOKEN ROLE NAME");
  expect("#\nsecretsecretsecret user ann more\n", "TOKEN ROLE NAME");
  expect("#\nsecret user ann\n", "at least 16");
  expect("#\nsha256:secret user ann\n", "64 hexadecimal");
  expect("#\nsecretsecretsecret us/er ann\n", "letters");
  expect("secretsecretsecret user ann\nsecretsecretsecret user bob\n", "twice");
}

TEST_F(TokenTableTest, OthersMayNotReadTheFile) {
  Write("aaaaaaaaaaaaaaaa user ann\n", 0644);
  EXPECT_TRUE(absl::IsPermissionDenied(Open())) << Open();
  EXPECT_THAT(std::string(Open().message()), HasSubstr(path_));
  Write("aaaaaaaaaaaaaaaa user ann\n", 0640);
  EXPECT_TRUE(Open().ok());
  EXPECT_TRUE(absl::IsNotFound(TokenTable::Open(folder_ / "none").status()));
}

TEST_F(TokenTableTest, FollowsTheFileAndKeepsTheOldWhenTheNewIsBroken) {
  Write("aaaaaaaaaaaaaaaa user ann\n");
  const auto table = TokenTable::Open(path_, absl::Milliseconds(5));
  ASSERT_TRUE(table.ok());
  Write("too few\n");
  Write("bbbbbbbbbbbbbbbb user bob\n");
  EXPECT_TRUE(WaitUntil([&] { return (*table)->Find("bbbbbbbbbbbbbbbb").has_value(); }));
  EXPECT_FALSE((*table)->Find("aaaaaaaaaaaaaaaa").has_value()) << "taken back";
  const StderrToFile log;
  Write("cccccccccccccccc user\n");
  EXPECT_TRUE(WaitUntil([&] { return absl::StrContains(log.Text(), "TOKEN ROLE NAME"); }))
      << log.Text();
  EXPECT_TRUE((*table)->Find("bbbbbbbbbbbbbbbb").has_value());
}

TEST_F(TokenTableTest, AClientsFileHasOneWord) {
  Write(" aaaaaaaaaaaaaaaa\n");
  const auto file = TokenFile::Open(path_, absl::Milliseconds(5));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->Token(), "aaaaaaaaaaaaaaaa");
  Write("bbbbbbbbbbbbbbbb");
  EXPECT_TRUE(WaitUntil([&] { return (*file)->Token() == "bbbbbbbbbbbbbbbb"; }));
  for (const char* text : {"", "\n", "two words", "line\r\nfeed: x"}) {
    Write(text);
    EXPECT_TRUE(absl::IsInvalidArgument(TokenFile::Open(path_).status())) << text;
  }
}

}  // namespace
}  // namespace mellow::rpc
