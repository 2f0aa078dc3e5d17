#include "common/base/folder_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/temp_folder.h"

namespace mellow {
namespace {

using ::testing::HasSubstr;

TEST(FolderLockTest, ASecondOneIsToldWhoHasTheFolder) {
  const testing::TempFolder root;
  auto first = FolderLock::Acquire(root / "new/data");
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status refused = FolderLock::Acquire(root / "new/data").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("new/data: is in use by process"));
  EXPECT_THAT(refused.message(), HasSubstr(absl::StrCat(getpid())));
  first->reset();
  EXPECT_TRUE(FolderLock::Acquire(root / "new/data").ok());
}

TEST(FolderLockTest, AKilledProcessLeavesTheFolderFreeAtOnce) {
  const testing::TempFolder root;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = FolderLock::Acquire(root.path());
    const char said = lock.ok() ? 'y' : 'n';
    (void)!write(ready[1], &said, 1);
    while (true) pause();
  }
  char said = '?';
  ASSERT_EQ(read(ready[0], &said, 1), 1);
  ASSERT_EQ(said, 'y');
  EXPECT_THAT(FolderLock::Acquire(root.path()).status().message(), HasSubstr(absl::StrCat(child)));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  const auto after = FolderLock::Acquire(root.path());
  EXPECT_TRUE(after.ok()) << after.status();
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace mellow
