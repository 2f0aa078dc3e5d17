#include "services/learner/base/checkpoint_store.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_folder.h"

namespace mellow::learner {
namespace {

using ::testing::HasSubstr;

class CheckpointStoreTest : public ::testing::Test {
 protected:
  CheckpointStore Open(int keep = 2) {
    auto store = CheckpointStore::Open(folder_ / "checkpoints", {keep});
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  static absl::Status Save(CheckpointStore& store, int64_t step, const std::string& text) {
    return store.Save(step, [&](const std::string& folder) {
      if (absl::Status made = MakeFolders(folder + "/sub"); !made.ok()) return made;
      return WriteFileSynced(folder + "/sub/weights", text);
    });
  }
  static int64_t NewestStep(const CheckpointStore& store,
                            std::vector<std::string>* damaged = nullptr) {
    const auto found = store.Newest(damaged);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() && *found ? (*found)->step : -1;
  }

  testing::TempFolder folder_;
};

TEST_F(CheckpointStoreTest, FindsTheNewestAndKeepsTheLastOnes) {
  CheckpointStore store = Open(/*keep=*/2);
  EXPECT_EQ(NewestStep(store), -1);
  for (int64_t step = 1; step <= 3; ++step) ASSERT_TRUE(Save(store, step, "x").ok());
  EXPECT_EQ(NewestStep(store), 3);
  EXPECT_FALSE(std::filesystem::exists(store.FolderOf(1)));
  EXPECT_TRUE(std::filesystem::exists(store.FolderOf(2)));
  EXPECT_TRUE(VerifyManifest(store.FolderOf(3)).ok());
}

class KeptPartTest : public CheckpointStoreTest {
 protected:
  CheckpointStore OpenWithParts(int parts) {
    return CheckpointStore::Open(folder_ / "checkpoints",
                                 {.checkpoints = 2, .part = "sub", .parts = parts})
        .value();
  }
  static absl::Status SaveWithMore(CheckpointStore& store, int64_t step) {
    return store.Save(step, [](const std::string& folder) -> absl::Status {
      for (const char* part : {"/sub", "/trainer"}) {
        if (absl::Status made = MakeFolders(folder + part); !made.ok()) return made;
        if (absl::Status w = WriteFileSynced(folder + part + "/weights", "x"); !w.ok()) return w;
      }
      return absl::OkStatus();
    });
  }
  static bool Exists(const std::string& path) { return std::filesystem::exists(path); }
};

TEST_F(KeptPartTest, ThePartOfEveryCheckpointStaysWhereItIs) {
  CheckpointStore store = OpenWithParts(/*parts=*/0);
  for (int step = 0; step < 6; ++step) ASSERT_TRUE(SaveWithMore(store, step).ok());
  for (int step = 0; step < 6; ++step) {
    EXPECT_TRUE(Exists(store.FolderOf(step) + "/sub/weights")) << step;
    EXPECT_EQ(Exists(store.FolderOf(step) + "/trainer"), step >= 4) << step;
    EXPECT_EQ(Exists(store.FolderOf(step) + "/manifest.json"), step >= 4) << step;
  }
  std::vector<std::string> damaged;
  EXPECT_EQ(NewestStep(store, &damaged), 5);
  for (const int step : {4, 5}) std::filesystem::remove(store.FolderOf(step) + "/trainer/weights");
  EXPECT_EQ(NewestStep(store, &damaged), -1) << "what stays of the others is no checkpoint";
  EXPECT_EQ(damaged.size(), 2u);
}

TEST_F(KeptPartTest, OnlyTheNewestPartsStayWhenTheyAreBounded) {
  CheckpointStore store = OpenWithParts(/*parts=*/3);
  for (int step = 1; step < 8; ++step) ASSERT_TRUE(SaveWithMore(store, step).ok());
  for (int step = 1; step < 8; ++step)
    EXPECT_EQ(Exists(store.FolderOf(step) + "/sub/weights"), step >= 5) << step;
  EXPECT_FALSE(Exists(store.FolderOf(4)));
}

TEST_F(KeptPartTest, ARemovalThatWasInterruptedIsFinishedWithTheNextCheckpoint) {
  CheckpointStore store = OpenWithParts(/*parts=*/0);
  ASSERT_TRUE(SaveWithMore(store, 1).ok());
  std::filesystem::remove_all(store.FolderOf(1) + "/trainer");
  for (const int step : {2, 3}) ASSERT_TRUE(SaveWithMore(store, step).ok());
  EXPECT_FALSE(Exists(store.FolderOf(1) + "/manifest.json"));
  EXPECT_TRUE(Exists(store.FolderOf(1) + "/sub/weights"));
}

// Whatever lies where an old checkpoint was: the store has nothing to do there anymore.
TEST_F(KeptPartTest, StepsOfWhichNothingGoesAnymoreAreNotLookedAt) {
  CheckpointStore store = OpenWithParts(/*parts=*/0);
  for (int step = 0; step < 4; ++step) ASSERT_TRUE(SaveWithMore(store, step).ok());
  ASSERT_FALSE(Exists(store.FolderOf(1) + "/trainer"));
  ASSERT_TRUE(MakeFolders(store.FolderOf(1) + "/trainer").ok());
  ASSERT_TRUE(SaveWithMore(store, 4).ok());
  EXPECT_TRUE(Exists(store.FolderOf(1) + "/trainer"));
  // A new process looks once.
  store = OpenWithParts(/*parts=*/0);
  ASSERT_TRUE(SaveWithMore(store, 5).ok());
  EXPECT_FALSE(Exists(store.FolderOf(1) + "/trainer"));
  EXPECT_TRUE(Exists(store.FolderOf(1) + "/sub/weights"));
}

TEST_F(CheckpointStoreTest, ADamagedOneIsSkippedAndNamed) {
  CheckpointStore store = Open();
  ASSERT_TRUE(Save(store, 1, "good").ok());
  ASSERT_TRUE(Save(store, 2, "good").ok());
  ASSERT_TRUE(WriteFileAtomic(store.FolderOf(2) + "/sub/weights", "goof").ok());
  std::vector<std::string> damaged;
  EXPECT_EQ(NewestStep(store, &damaged), 1);
  ASSERT_EQ(damaged.size(), 1u);
  EXPECT_THAT(damaged[0], HasSubstr("changed sub/weights"));
}

TEST_F(CheckpointStoreTest, MissingAndExtraFilesAreDamage) {
  CheckpointStore store = Open();
  ASSERT_TRUE(Save(store, 1, "x").ok());
  ASSERT_TRUE(WriteFileAtomic(store.FolderOf(1) + "/stray", "y").ok());
  std::filesystem::remove(store.FolderOf(1) + "/sub/weights");
  const absl::Status status = VerifyManifest(store.FolderOf(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("missing sub/weights"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("unexpected stray"));
}

TEST_F(CheckpointStoreTest, AFailedWriteLeavesTheOldOneAndNothingElse) {
  CheckpointStore store = Open();
  ASSERT_TRUE(Save(store, 1, "x").ok());
  const absl::Status status =
      store.Save(2, [](const std::string&) { return absl::ResourceExhaustedError("disk full"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("step 2"));
  EXPECT_EQ(NewestStep(store), 1);
  int entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "checkpoints")) {
    static_cast<void>(entry);
    ++entries;
  }
  EXPECT_EQ(entries, 1);
}

TEST_F(CheckpointStoreTest, OpenRemovesWhatAnInterruptedWriteLeft) {
  ASSERT_TRUE(MakeFolders(folder_ / "checkpoints/.step-00000001.77.0.tmp").ok());
  static_cast<void>(Open());
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "checkpoints"));
}

TEST_F(CheckpointStoreTest, SavingAStepAgainReplacesIt) {
  CheckpointStore store = Open();
  ASSERT_TRUE(Save(store, 1, "old").ok());
  ASSERT_TRUE(Save(store, 1, "new").ok());
  EXPECT_EQ(*ReadFile(store.FolderOf(1) + "/sub/weights"), "new");
  EXPECT_TRUE(VerifyManifest(store.FolderOf(1)).ok());
}

TEST_F(KeptPartTest, ARunThatBeginsAgainBelowDamagedCheckpointsKeepsItsOwn) {
  CheckpointStore store = OpenWithParts(/*parts=*/3);
  for (const int step : {7, 8}) {
    ASSERT_TRUE(SaveWithMore(store, step).ok());
    std::filesystem::remove(store.FolderOf(step) + "/trainer/weights");
  }
  EXPECT_EQ(NewestStep(store), -1);
  for (int step = 0; step <= 8; ++step) {
    ASSERT_TRUE(SaveWithMore(store, step).ok());
    EXPECT_EQ(NewestStep(store), step);
  }
  EXPECT_EQ(NewestStep(OpenWithParts(/*parts=*/3)), 8);
}

// What cannot be looked at for want of file descriptors.
TEST_F(CheckpointStoreTest, ACheckpointThatCannotBeReadIsAnErrorAndNoDamage) {
  CheckpointStore store = Open();
  for (const int step : {1, 2}) ASSERT_TRUE(Save(store, step, "x").ok());
  // UBSan opens a pipe when it sees a type's object for the first time: here the error's category.
  ASSERT_FALSE(ErrnoStatus(EMFILE, "").ok());
  const int next = open("/", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(next, 0);
  close(next);
  rlimit old_limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old_limit), 0);
  for (rlim_t files = 0; files < 3; ++files) {
    const rlimit limit = {static_cast<rlim_t>(next) + files, old_limit.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    const auto found = store.Newest();
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old_limit), 0);
    EXPECT_TRUE(absl::IsResourceExhausted(found.status())) << files << ": " << found.status();
  }
  EXPECT_EQ(NewestStep(store), 2);
}

TEST_F(CheckpointStoreTest, ANewerFormatIsNotTakenForDamage) {
  CheckpointStore store = Open();
  ASSERT_TRUE(Save(store, 1, "x").ok());
  ASSERT_TRUE(Save(store, 2, "x").ok());
  ASSERT_TRUE(
      WriteFileAtomic(store.FolderOf(2) + "/manifest.json", R"({"format": 2, "files": {}})").ok());
  EXPECT_EQ(store.Newest().status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace mellow::learner
