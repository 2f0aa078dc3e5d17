// What has been fsynced of the folders that were made: their names are in their parents.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace {

// Paths, in order.
std::vector<std::string>* synced = nullptr;  // null: not listened to

}  // namespace

extern "C" int fsync(int fd) {
  if (synced != nullptr) {
    synced->push_back(std::filesystem::read_symlink(absl::StrCat("/proc/self/fd/", fd)).string());
  }
  return static_cast<int>(syscall(SYS_fsync, fd));
}

namespace mellow {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SyncedFoldersTest : public ::testing::Test {
 protected:
  void SetUp() override { synced = &paths_; }
  void TearDown() override { synced = nullptr; }

  testing::TempFolder folder_;
  const std::string root_ = std::filesystem::canonical(folder_.path()).string();
  std::vector<std::string> paths_;
};

TEST_F(SyncedFoldersTest, EveryFolderThatGotANameIsSynced) {
  ASSERT_TRUE(MakeFolders(root_ + "/runs/run/files").ok());
  EXPECT_THAT(paths_, ElementsAre(root_, root_ + "/runs", root_ + "/runs/run"));
}

TEST_F(SyncedFoldersTest, ATrailingSlashMakesNoDifference) {
  ASSERT_TRUE(MakeFolders(root_ + "/runs/run/").ok());
  EXPECT_TRUE(std::filesystem::is_directory(root_ + "/runs/run"));
  EXPECT_THAT(paths_, ElementsAre(root_, root_ + "/runs"));
}

TEST_F(SyncedFoldersTest, WhatIsThereIsLeftAlone) {
  ASSERT_TRUE(MakeFolders(root_ + "/runs").ok());
  paths_.clear();
  ASSERT_TRUE(MakeFolders(root_ + "/runs").ok());
  EXPECT_THAT(paths_, IsEmpty());
}

TEST_F(SyncedFoldersTest, AFolderIsSyncedWithTheFoldersAboveItThatItNeeded) {
  auto folder = AtomicFolder::Create(root_ + "/checkpoints/step-1");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_THAT(paths_, ElementsAre(root_));
  ASSERT_TRUE((*folder)->Commit().ok());
  EXPECT_THAT(paths_, Contains(root_ + "/checkpoints"));
}

}  // namespace
}  // namespace mellow
