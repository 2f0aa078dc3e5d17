#include "common/sync/file_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/wait_until.h"

namespace mellow {
namespace {

using ::mellow::testing::WaitUntil;

TEST(FileWatchTest, SeesFilesComeChangeAndGoAndLinksMove) {
  const testing::TempFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "one", "1").ok());
  ASSERT_TRUE(WriteFileAtomic(folder / "two", "2").ok());
  ASSERT_EQ(symlink((folder / "one").c_str(), (folder / "link").c_str()), 0);
  std::atomic<int> changes{0};
  const FileWatch watch({folder / "later", folder / "link"}, absl::Milliseconds(5),
                        [&changes] { ++changes; });
  int before = changes;
  EXPECT_EQ(before, 0);
  const auto changed = [&] {
    const bool seen = WaitUntil([&] { return changes > before; });
    before = changes;
    return seen;
  };
  ASSERT_TRUE(WriteFileAtomic(folder / "later", "x").ok());
  EXPECT_TRUE(changed()) << "came";
  ASSERT_TRUE(WriteFileAtomic(folder / "later", "y").ok());
  EXPECT_TRUE(changed()) << "replaced by one of the same size";
  unlink((folder / "later").c_str());
  EXPECT_TRUE(changed()) << "gone";
  // As Kubernetes changes a secret.
  ASSERT_EQ(symlink((folder / "two").c_str(), (folder / "next").c_str()), 0);
  ASSERT_EQ(rename((folder / "next").c_str(), (folder / "link").c_str()), 0);
  EXPECT_TRUE(changed()) << "the link points elsewhere";
}

}  // namespace
}  // namespace mellow
