#include "common/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/testing/file_size_limit.h"
#include "tests/testing/temp_folder.h"

namespace mellow {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> Names(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  return names;
}

TEST(ReadFileTest, ReturnsEveryByteOfABinaryFile) {
  testing::TempFolder folder;
  std::string data(200'000, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31);
  ASSERT_TRUE(WriteFileSynced(folder / "f", data).ok());
  const auto read = ReadFile(folder / "f");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, data);
}

TEST(ReadFileTest, AMissingFileIsNotFoundAndNamed) {
  testing::TempFolder folder;
  const absl::Status status = ReadFile(folder / "absent").status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder / "absent"));
  // A file where a folder should be.
  ASSERT_TRUE(WriteFileSynced(folder / "f", "x").ok());
  EXPECT_TRUE(absl::IsNotFound(ReadFile(folder / "f/g").status()));
}

TEST(ReadFileTest, AFolderIsAnInvalidArgument) {
  testing::TempFolder folder;
  EXPECT_TRUE(absl::IsInvalidArgument(ReadFile(folder.path()).status()))
      << ReadFile(folder.path()).status();
}

TEST(ReadFileTest, APointerOfGitLfsIsToldAsOne) {
  testing::TempFolder folder;
  ASSERT_TRUE(WriteFileSynced(folder / "model.safetensors",
                              "version https://git-lfs.github.com/spec/v1\noid sha256:d60a\n")
                  .ok());
  for (const absl::Status& status : {ReadFile(folder / "model.safetensors").status(),
                                     MappedFile::Open(folder / "model.safetensors").status()}) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("model.safetensors: a pointer of Git LFS"));
  }
}

TEST(WriteFileAtomicTest, ReplacesTheOldFileAndLeavesNothingElse) {
  testing::TempFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "f", "old and longer").ok());
  ASSERT_TRUE(WriteFileAtomic(folder / "f", "new").ok());
  EXPECT_EQ(*ReadFile(folder / "f"), "new");
  EXPECT_THAT(Names(folder.path()), ::testing::ElementsAre("f"));
}

TEST(WriteFileAtomicTest, WithoutRoomTheOldFileStaysAndNothingIsLeftBehind) {
  testing::TempFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "f", "old").ok());
  absl::Status status;
  {
    testing::FileSizeLimit limit(1000);
    status = WriteFileAtomic(folder / "f", std::string(5000, 'x'));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(*ReadFile(folder / "f"), "old");
  EXPECT_THAT(Names(folder.path()), ::testing::ElementsAre("f"));
}

TEST(WriteFileSyncedTest, AFullDeviceIsResourceExhausted) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full on this machine";
  const absl::Status status = WriteFileSynced("/dev/full", "x");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("/dev/full"));
}

TEST(WriteFileAtomicTest, AMissingFolderIsNotFound) {
  testing::TempFolder folder;
  EXPECT_TRUE(absl::IsNotFound(WriteFileAtomic(folder / "absent/f", "x")));
}

TEST(WriteFileAtomicTest, AFolderInTheWayIsAnError) {
  testing::TempFolder folder;
  ASSERT_TRUE(MakeFolders(folder / "f/g").ok());
  EXPECT_FALSE(WriteFileAtomic(folder / "f", "x").ok());
  EXPECT_THAT(Names(folder.path()), ::testing::ElementsAre("f"));
}

TEST(AtomicFolderContentTest, AppearsAsAWhole) {
  testing::TempFolder folder;
  const std::string path = folder / "deep/er/target";
  auto staged = AtomicFolder::Create(path);
  ASSERT_TRUE(staged.ok()) << staged.status();
  ASSERT_TRUE(WriteFileSynced((*staged)->staging() + "/a", "1").ok());
  EXPECT_FALSE(fs::exists(path));
  ASSERT_TRUE((*staged)->Commit().ok());
  EXPECT_EQ(*ReadFile(path + "/a"), "1");
  staged->reset();
  EXPECT_TRUE(fs::exists(path));
  EXPECT_THAT(Names(folder / "deep/er"), ::testing::ElementsAre("target"));
}

TEST(AtomicFolderContentTest, ReplacesTheOldFolderWithNothingOfItLeft) {
  testing::TempFolder folder;
  for (const char* name : {"a", "b"}) {
    auto staged = AtomicFolder::Create(folder / "target");
    ASSERT_TRUE(staged.ok());
    ASSERT_TRUE(WriteFileSynced((*staged)->staging() + "/" + name, name).ok());
    ASSERT_TRUE((*staged)->Commit().ok());
  }
  EXPECT_THAT(Names(folder / "target"), ::testing::ElementsAre("b"));
  EXPECT_THAT(Names(folder.path()), ::testing::ElementsAre("target"));
}

TEST(AtomicFolderContentTest, WithoutCommitTheOldFolderStays) {
  testing::TempFolder folder;
  ASSERT_TRUE(MakeFolders(folder / "target").ok());
  ASSERT_TRUE(WriteFileSynced(folder / "target/old", "1").ok());
  {
    auto staged = AtomicFolder::Create(folder / "target");
    ASSERT_TRUE(staged.ok());
    ASSERT_TRUE(WriteFileSynced((*staged)->staging() + "/new", "2").ok());
  }
  EXPECT_THAT(Names(folder / "target"), ::testing::ElementsAre("old"));
  EXPECT_THAT(Names(folder.path()), ::testing::ElementsAre("target"));
}

TEST(AtomicFolderContentTest, TwoAtOnceDoNotDisturbEachOther) {
  testing::TempFolder folder;
  auto first = AtomicFolder::Create(folder / "target");
  auto second = AtomicFolder::Create(folder / "target");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE((*first)->staging(), (*second)->staging());
  ASSERT_TRUE(WriteFileSynced((*first)->staging() + "/1", "").ok());
  ASSERT_TRUE(WriteFileSynced((*second)->staging() + "/2", "").ok());
  ASSERT_TRUE((*first)->Commit().ok());
  ASSERT_TRUE((*second)->Commit().ok());
  EXPECT_THAT(Names(folder / "target"), ::testing::ElementsAre("2"));
}

TEST(AtomicFolderContentTest, WithoutRoomTheTargetIsUntouched) {
  testing::TempFolder folder;
  {
    testing::FileSizeLimit limit(100);
    auto staged = AtomicFolder::Create(folder / "target");
    ASSERT_TRUE(staged.ok());
    EXPECT_TRUE(absl::IsResourceExhausted(
        WriteFileSynced((*staged)->staging() + "/f", std::string(1000, 'x'))));
  }
  EXPECT_THAT(Names(folder.path()), IsEmpty());
}

TEST(MappedFileTest, ShowsTheBytesAndOutlivesTheName) {
  testing::TempFolder folder;
  ASSERT_TRUE(WriteFileSynced(folder / "f", "hello").ok());
  const auto file = MappedFile::Open(folder / "f");
  ASSERT_TRUE(file.ok()) << file.status();
  fs::remove(folder / "f");
  EXPECT_EQ(std::string((*file)->bytes().begin(), (*file)->bytes().end()), "hello");
}

TEST(MappedFileTest, AnEmptyFileHasNoBytes) {
  testing::TempFolder folder;
  ASSERT_TRUE(WriteFileSynced(folder / "f", "").ok());
  const auto file = MappedFile::Open(folder / "f");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->bytes().empty());
}

TEST(MappedFileTest, RefusesWhatIsNoFile) {
  testing::TempFolder folder;
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open(folder.path()).status()));
  EXPECT_TRUE(absl::IsNotFound(MappedFile::Open(folder / "absent").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open("/dev/null").status()));
}

TEST(MakeFoldersTest, MakesParentsAndAcceptsWhatIsThere) {
  testing::TempFolder folder;
  EXPECT_TRUE(MakeFolders(folder / "a/b/c").ok());
  EXPECT_TRUE(MakeFolders(folder / "a/b/c").ok());
  EXPECT_TRUE(fs::is_directory(folder / "a/b/c"));
  ASSERT_TRUE(WriteFileSynced(folder / "file", "").ok());
  const absl::Status status = MakeFolders(folder / "file/x");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("file/x"));
  EXPECT_THAT(std::string(status.message()), Not(IsEmpty()));
}

}  // namespace
}  // namespace mellow
