// Folders on a file system that cannot exchange two names. This program's renameat2() stands before
// libc's.
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace {

int exchange_error = 0;  // 0: as the kernel does it

}  // namespace

extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to,
                         unsigned int flags) noexcept {
  if (exchange_error != 0) {
    errno = exchange_error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

namespace mellow {
namespace {

class AtomicFolderTest : public ::testing::Test {
 protected:
  ~AtomicFolderTest() override { exchange_error = 0; }
  absl::Status Write(const std::string& text) {
    auto folder = AtomicFolder::Create(path_);
    if (!folder.ok()) return folder.status();
    EXPECT_TRUE(MakeFolders((*folder)->staging() + "/inner/most").ok());
    EXPECT_TRUE(WriteFileSynced((*folder)->staging() + "/inner/most/file", text).ok());
    return (*folder)->Commit();
  }
  std::string Read() const { return ReadFile(path_ + "/inner/most/file").value_or("nothing"); }
  int Entries() const {
    int entries = 0;
    for (const auto& entry : std::filesystem::directory_iterator(root_.path())) {
      (void)entry;
      ++entries;
    }
    return entries;
  }

  testing::TempFolder root_;
  const std::string path_ = root_ / "folder";
};

TEST_F(AtomicFolderTest, ReplacesWhereNamesCannotBeExchanged) {
  for (const int error : {0, EINVAL, ENOSYS, EOPNOTSUPP}) {
    exchange_error = error;
    ASSERT_TRUE(Write("old").ok()) << error;
    ASSERT_TRUE(Write("new").ok()) << error;
    EXPECT_EQ(Read(), "new") << error;
    EXPECT_EQ(Entries(), 1) << error;
  }
}

TEST_F(AtomicFolderTest, AnotherErrorLeavesTheOldFolder) {
  ASSERT_TRUE(Write("old").ok());
  exchange_error = EACCES;
  EXPECT_FALSE(Write("new").ok());
  EXPECT_EQ(Read(), "old");
  EXPECT_EQ(Entries(), 1);
}

TEST_F(AtomicFolderTest, AnOldFolderThatWasMovedAsideIsPutBack) {
  ASSERT_TRUE(Write("old").ok());
  // The process ended between the two renames.
  std::filesystem::rename(path_, root_ / ".folder.replaced");
  ASSERT_TRUE(AtomicFolder::RestoreReplaced(path_).ok());
  EXPECT_EQ(Read(), "old");

  // Or after both.
  std::filesystem::copy(path_, root_ / ".folder.replaced",
                        std::filesystem::copy_options::recursive);
  ASSERT_TRUE(Write("new").ok());
  EXPECT_EQ(Read(), "new");
  EXPECT_EQ(Entries(), 1);
}

}  // namespace
}  // namespace mellow
