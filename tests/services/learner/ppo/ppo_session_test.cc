#include "services/learner/ppo/ppo_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "services/learner/ppo/step_records.h"
#include "tests/services/learner/learner_fixture.h"
#include "tests/testing/file_size_limit.h"
#include "tests/testing/temp_folder.h"

namespace mellow::learner {
namespace {

using ::testing::HasSubstr;

class PpoSessionTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<PpoSession>> Open(const std::string& run_id = "run-1",
                                                   const std::string& config = kConfig) {
    MELLOW_ASSIGN_OR_RETURN(const RunSettings settings, MakeSettings(run_id, config));
    // One thread: what a busy machine does to more of them takes minutes.
    return PpoSession::Open(
        {kModel, root_.path(), /*keep_checkpoints=*/2, {.threads = 1}, keep_adapters_}, settings);
  }
  // The hashes of the adapters after each of `steps` steps from where the session is.
  std::vector<std::string> TrainOn(PpoSession& session, int steps) {
    std::vector<std::string> hashes;
    for (int i = 0; i < steps; ++i) {
      const int64_t step = session.last_step() + 1;
      const auto record = session.Train(step, MakeRollouts(static_cast<int>(step)), step);
      EXPECT_TRUE(record.ok()) << record.status();
      hashes.push_back(record.ok() ? record->sha256 : "");
    }
    return hashes;
  }
  static absl::StatusOr<PpoStepRecord> TrainOnAFullDisk(PpoSession& session, int step) {
    const testing::FileSizeLimit limit(512);
    return session.Train(step, MakeRollouts(step), step);
  }
  testing::TempFolder root_;
  int keep_adapters_ = 0;
};

TEST_F(PpoSessionTest, AResumedRunEndsWithTheSameHashes) {
  auto whole = Open("whole");
  ASSERT_TRUE(whole.ok()) << whole.status();
  const std::vector<std::string> expected = TrainOn(**whole, 4);
  EXPECT_NE(expected[0], expected[3]);

  std::vector<std::string> hashes;
  for (int part = 0; part < 4; ++part) {  // a new process after every step
    auto session = Open("parts");
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_EQ((*session)->last_step(), part);
    hashes.push_back(TrainOn(**session, 1)[0]);
  }
  EXPECT_EQ(hashes, expected);
}

TEST_F(PpoSessionTest, EveryStepStaysOnRecordAfterARestart) {
  auto first = Open();
  ASSERT_TRUE(first.ok());
  TrainOn(**first, 3);
  const PpoStepRecord before = *(*first)->Recorded(1);
  auto second = Open();
  ASSERT_TRUE(second.ok());
  const PpoStepRecord* after = (*second)->Recorded(1);
  ASSERT_NE(after, nullptr);
  EXPECT_EQ(after->sha256, before.sha256);
  EXPECT_EQ(after->stats.at("objective/kl"), before.stats.at("objective/kl"));
  EXPECT_EQ((*second)->Recorded(4), nullptr);
}

TEST_F(PpoSessionTest, ACheckpointDoesNotGrowWithTheRun) {
  auto session = Open();
  ASSERT_TRUE(session.ok());
  TrainOn(**session, 1);
  const auto size = [&](int step) {
    return std::filesystem::file_size(root_ / "run-1/step-0000000" + std::to_string(step) +
                                      "/run.json");
  };
  const auto first = size(1);
  TrainOn(**session, 3);
  EXPECT_NEAR(size(4), first, 100);
}

TEST_F(PpoSessionTest, ACheckpointOfVersion01HasAllRecordsAndIsContinued) {
  auto session = Open("whole");
  ASSERT_TRUE(session.ok());
  const std::vector<std::string> expected = TrainOn(**session, 4);

  session = Open("old");
  ASSERT_TRUE(session.ok());
  TrainOn(**session, 3);
  PpoRunFile file{(*session)->settings(), {}};
  for (int step = 1; step <= 3; ++step) file.records[step] = *(*session)->Recorded(step);
  session->reset();
  // As that version wrote it: everything in the checkpoint, nothing beside it.
  auto store = CheckpointStore::Open(root_ / "old", {.checkpoints = 2});
  ASSERT_TRUE(store.ok());
  const auto written = store->Save(3, [&](const std::string& folder) {
    std::filesystem::copy(store->FolderOf(3), folder,
                          std::filesystem::copy_options::recursive |
                              std::filesystem::copy_options::overwrite_existing);
    return WriteFileSynced(folder + "/run.json", SerializePpoRunFile(file));
  });
  ASSERT_TRUE(written.ok()) << written;
  ASSERT_TRUE(std::filesystem::remove(root_ / "old/steps.jsonl"));

  for (int life = 0; life < 2; ++life) {
    session = Open("old");
    ASSERT_TRUE(session.ok()) << session.status();
    for (int step = 1; step <= 3; ++step) {
      ASSERT_NE((*session)->Recorded(step), nullptr) << step;
      EXPECT_EQ((*session)->Recorded(step)->sha256, expected[step - 1]);
    }
    if (life == 0) {
      EXPECT_EQ(TrainOn(**session, 1)[0], expected[3]);
    }
  }
}

TEST_F(PpoSessionTest, ADamagedNewestCheckpointFallsBackToTheOneBefore) {
  std::string newest;
  std::vector<std::string> hashes;
  {
    auto session = Open();
    ASSERT_TRUE(session.ok());
    hashes = TrainOn(**session, 2);
    newest = std::filesystem::path((*session)->AdapterPath()).parent_path();
  }
  std::ofstream(newest + "/run.json", std::ios::app) << "x";
  auto session = Open();
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ((*session)->last_step(), 1);
  EXPECT_EQ(TrainOn(**session, 1)[0], hashes[1]);
}

TEST_F(PpoSessionTest, AFullDiskRecordsNothingAndTheStepCanBeRepeated) {
  auto undisturbed = Open("undisturbed");
  ASSERT_TRUE(undisturbed.ok());
  const std::vector<std::string> expected = TrainOn(**undisturbed, 2);

  auto session = Open("disturbed");
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(TrainOn(**session, 1)[0], expected[0]);
  const auto failed = TrainOnAFullDisk(**session, 2);
  EXPECT_TRUE(absl::IsResourceExhausted(failed.status())) << failed.status();
  EXPECT_EQ((*session)->last_step(), 1);
  EXPECT_EQ((*session)->CurrentAdapter().sha256, expected[0]);
  EXPECT_EQ(TrainOn(**session, 1)[0], expected[1]);
}

TEST_F(PpoSessionTest, AStepThatCannotGoBackSpoilsTheSessionAndOpeningAgainGivesTheSameHash) {
  auto undisturbed = Open("undisturbed");
  ASSERT_TRUE(undisturbed.ok());
  const std::vector<std::string> expected = TrainOn(**undisturbed, 2);

  {
    auto session = Open("disturbed");
    ASSERT_TRUE(session.ok());
    EXPECT_EQ(TrainOn(**session, 1)[0], expected[0]);
    // Neither can the step be saved nor the checkpoint of before be read.
    const std::string folder = std::filesystem::path((*session)->AdapterPath()).parent_path();
    std::filesystem::rename(folder, folder + "-away");
    const auto failed = TrainOnAFullDisk(**session, 2);
    std::filesystem::rename(folder + "-away", folder);
    EXPECT_FALSE(failed.ok());
    EXPECT_TRUE((*session)->spoiled());
    EXPECT_TRUE(absl::IsFailedPrecondition((*session)->Train(2, MakeRollouts(2), 2).status()));
  }
  auto again = Open("disturbed");
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE((*again)->spoiled());
  EXPECT_EQ(TrainOn(**again, 1)[0], expected[1]);
}

TEST_F(PpoSessionTest, StepsAndVersionsOutOfOrderAreRefused) {
  auto session = Open();
  ASSERT_TRUE(session.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition((*session)->Train(2, MakeRollouts(2), 2).status()));
  EXPECT_TRUE(absl::IsInvalidArgument((*session)->Train(1, MakeRollouts(1), 0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument((*session)->Train(1, {}, 1).status()));
  EXPECT_FALSE((*session)->spoiled());
  EXPECT_EQ((*session)->last_step(), 0);
}

TEST_F(PpoSessionTest, AForkBeginsAtACheckpointOfAnotherRunAndIsNumberedOn) {
  auto session = Open();
  ASSERT_TRUE(session.ok());
  const std::vector<std::string> hashes = TrainOn(**session, 2);
  const auto settings = [](double factor) {
    RunSettings fork = *MakeSettings("run-1-guard1", kConfig);
    fork.start_version = 10;
    fork.fork = ForkPoint{"run-1", 1, 5, factor};
    fork.config.learning_rate *= factor;
    return fork;
  };
  const PpoSession::Options options{kModel, root_.path(), 2, {.threads = 1}};
  auto fork = PpoSession::Open(options, settings(1));
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_EQ((*fork)->last_step(), 5);
  EXPECT_EQ((*fork)->CurrentAdapter().version, 10);
  EXPECT_EQ((*fork)->CurrentAdapter().sha256, hashes[0]);
  // The rollouts of step 2, with the state of step 1: moments and all.
  EXPECT_EQ((*fork)->Train(6, MakeRollouts(2), 11)->sha256, hashes[1]);
  fork = PpoSession::Open(options, settings(1));
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_EQ((*fork)->last_step(), 6) << "a fork goes on from its own checkpoint";
  EXPECT_TRUE(absl::IsFailedPrecondition(PpoSession::Open(options, settings(0.5)).status()))
      << "another factor is another run";

  std::filesystem::remove_all(root_ / "run-1-guard1");
  fork = PpoSession::Open(options, settings(0.5));
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_NE((*fork)->Train(6, MakeRollouts(2), 11)->sha256, hashes[1]) << "smaller steps";
}

TEST_F(PpoSessionTest, AForkOfAForkLeavesTheCheckpointsOfTheLastTwoRuns) {
  auto session = Open();
  ASSERT_TRUE(session.ok());
  TrainOn(**session, 2);
  const auto fork_of = [&](const std::string& run, int64_t step, int64_t after) {
    RunSettings fork = *MakeSettings(run + "x", kConfig);
    fork.start_version = after;
    fork.fork = ForkPoint{run, step, after, 1};
    return PpoSession::Open({kModel, root_.path(), 2, {.threads = 1}}, fork);
  };
  const auto whole = [&](const std::string& run, int64_t step) {
    return VerifyManifest(CheckpointStore::FolderOf(root_ / run, step)).ok();
  };
  auto first = fork_of("run-1", 1, 2);
  ASSERT_TRUE(first.ok()) << first.status();
  TrainOn(**first, 1);
  EXPECT_TRUE(whole("run-1", 1) && whole("run-1", 2)) << "the fork may have to begin again";
  auto second = fork_of("run-1x", 2, 3);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(whole("run-1", 1) || whole("run-1", 2));
  EXPECT_TRUE(std::filesystem::exists(CheckpointStore::FolderOf(root_ / "run-1", 2) + "/adapter"));
  EXPECT_TRUE(whole("run-1x", 2) && whole("run-1x", 3));
  second = fork_of("run-1x", 2, 3);
  EXPECT_TRUE(second.ok()) << "and goes on: " << second.status();
}

TEST_F(PpoSessionTest, AForkOfACheckpointThatIsNotKeptIsNamed) {
  auto session = Open();
  ASSERT_TRUE(session.ok());
  TrainOn(**session, 4);  // keeps two
  RunSettings fork = *MakeSettings("run-1-guard1", kConfig);
  fork.fork = ForkPoint{"run-1", 1, 4, 1};
  const auto opened = PpoSession::Open({kModel, root_.path(), 2, {.threads = 1}}, fork);
  EXPECT_TRUE(absl::IsNotFound(opened.status())) << opened.status();
  EXPECT_THAT(std::string(opened.status().message()),
              ::testing::AllOf(HasSubstr("the checkpoint to go back to"), HasSubstr("backup")));
}

TEST_F(PpoSessionTest, ARunMayKeepMoreCheckpointsThanTheFlagSays) {
  RunSettings settings = *MakeSettings("run-1", kConfig);
  settings.keep_checkpoints = 4;
  auto session = PpoSession::Open({kModel, root_.path(), 2, {.threads = 1}}, settings);
  ASSERT_TRUE(session.ok());
  TrainOn(**session, 4);
  for (int step = 1; step <= 4; ++step)
    EXPECT_TRUE(VerifyManifest(CheckpointStore::FolderOf(root_ / "run-1", step)).ok()) << step;
  EXPECT_FALSE(VerifyManifest(CheckpointStore::FolderOf(root_ / "run-1", 0)).ok());
}

TEST_F(PpoSessionTest, BadSettingsAreNamed) {
  for (const char* run_id : {"", "../x", "a/b", "a b"})
    EXPECT_TRUE(absl::IsInvalidArgument(Open(run_id).status())) << run_id;
  const auto unknown = Open("run-2", R"({"learning_rat": 1})");
  EXPECT_TRUE(absl::IsInvalidArgument(unknown.status()));
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("learning_rat"));
  ASSERT_TRUE(Open("run-3").ok());
  const auto other = Open("run-3", R"({"batch_size": 2, "mini_batch_size": 2})");
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status())) << other.status();
}

TEST_F(PpoSessionTest, AdaptersAreBoundedWhereThatIsAskedFor) {
  keep_adapters_ = 3;
  auto session = Open();
  ASSERT_TRUE(session.ok());
  TrainOn(**session, 5);
  EXPECT_TRUE(absl::IsNotFound((*session)->AdapterOf(2).status()));
  EXPECT_TRUE((*session)->AdapterOf(3).ok());
}

TEST_F(PpoSessionTest, KeptVersionsAreServedAndOthersAreNamed) {
  auto session = Open();
  ASSERT_TRUE(session.ok());
  const std::vector<std::string> hashes = TrainOn(**session, 3);
  const auto kept = (*session)->AdapterOf(2);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(adapters::ContentHash(kept->weights), hashes[1]);
  const auto first = (*session)->AdapterOf(1);
  ASSERT_TRUE(first.ok()) << "its checkpoint is gone, the adapter stays: " << first.status();
  EXPECT_EQ(adapters::ContentHash(first->weights), hashes[0]);
  const auto unknown = (*session)->AdapterOf(9);
  EXPECT_TRUE(absl::IsNotFound(unknown.status()));
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("3, 1, 2"));
  const auto card = ReadFile((*session)->AdapterPath() + "/README.md");
  ASSERT_TRUE(card.ok()) << card.status();
  EXPECT_THAT(*card, HasSubstr("- method: PPO\n"));
  EXPECT_THAT(*card, HasSubstr("\"batch_size\""));
  const auto written = adapters::ReadPeftFolder((*session)->AdapterPath());
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(adapters::ContentHash(*written), hashes[2]);
}

}  // namespace
}  // namespace mellow::learner
