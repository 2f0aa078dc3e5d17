#include "services/learner/sft/sft_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "services/learner/base/compute_turns.h"
#include "tests/services/learner/sft_fixture.h"
#include "tests/testing/file_size_limit.h"
#include "tests/testing/temp_folder.h"

namespace mellow::learner {
namespace {

using ::testing::HasSubstr;

void Nothing(const std::string&) {}

class SftSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WritePairs(data_);
    plan_ = MakePlan(data_);
  }
  absl::StatusOr<std::unique_ptr<SftSession>> Open(const std::string& run_id,
                                                   const std::string& spec = "spec") {
    return SftSession::Open({kSftModel, root_.path(), /*keep_checkpoints=*/2, {.threads = 1}},
                            {run_id, spec, plan_});
  }
  // To the end; the result's hash.
  std::string TrainToTheEnd(SftSession& session) {
    while (!session.done()) {
      const auto record = session.Advance(Nothing);
      EXPECT_TRUE(record.ok()) << record.status();
      if (!record.ok()) return "";
    }
    const auto result = session.Finish();
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->sha256 : "";
  }

  testing::TempFolder root_;
  const std::string data_ = root_ / "pairs.jsonl";
  SftPlan plan_;
};

TEST_F(SftSessionTest, OthersComputeBetweenTheBatchesOfAStepAndChangeNothing) {
  auto whole = Open("whole");
  auto shared = Open("shared");
  ASSERT_TRUE(whole.ok() && shared.ok());
  const std::string expected = TrainToTheEnd(**whole);
  // As the learner does it: a call that waits for its turn gets it in the middle of a step.
  ComputeTurns turns;
  int served = 0;
  while (!(*shared)->done()) {
    ComputeTurns::Turn turn(&turns);
    const auto record = (*shared)->Advance(Nothing, [&] {
      std::thread caller([&] {
        const ComputeTurns::Turn mine(&turns);
        ++served;
      });
      while (turns.waiting() == 0) std::this_thread::yield();
      turn.Yield();
      caller.join();
    });
    ASSERT_TRUE(record.ok()) << record.status();
  }
  EXPECT_EQ(served, 4) << "in the four steps that have two batches";
  const auto result = (*shared)->Finish();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->sha256, expected);
}

TEST_F(SftSessionTest, TrainsMeasuresAndKeepsTheBest) {
  auto session = Open("run");
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ((*session)->data().train.size(), 10u);
  EXPECT_EQ((*session)->data().dev.size(), 2u);
  EXPECT_EQ((*session)->length().total_steps, 6);
  const std::string sha256 = TrainToTheEnd(**session);
  const std::vector<SftStepRecord>& records = (*session)->records();
  ASSERT_EQ(records.size(), 7u);
  EXPECT_FALSE(records[0].loss.has_value());
  for (const int64_t step : {0, 2, 4, 6}) EXPECT_TRUE(records[step].dev_loss.has_value()) << step;
  for (const int64_t step : {1, 3, 5}) EXPECT_FALSE(records[step].dev_loss.has_value()) << step;
  ASSERT_NE((*session)->best(), nullptr);
  EXPECT_LT(*(*session)->best()->dev_loss, *records[0].dev_loss) << "training helped";
  const auto written = adapters::ReadPeftFolder(root_ / "run/adapter");
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(adapters::ContentHash(*written), sha256);
}

TEST_F(SftSessionTest, AProcessThatDiesAfterAnyStepChangesNothing) {
  auto whole = Open("whole");
  ASSERT_TRUE(whole.ok()) << whole.status();
  const std::string expected = TrainToTheEnd(**whole);
  for (const int lives : {1, 2, 3, 5}) {  // records before each death
    const std::string run = "life-" + std::to_string(lives);
    for (int deaths = 0; deaths < 3; ++deaths) {
      auto session = Open(run);
      ASSERT_TRUE(session.ok()) << session.status();
      for (int i = 0; i < lives && !(*session)->done(); ++i)
        ASSERT_TRUE((*session)->Advance(Nothing).ok());
    }
    auto last = Open(run);
    ASSERT_TRUE(last.ok()) << last.status();
    EXPECT_EQ(TrainToTheEnd(**last), expected) << lives;
    ASSERT_EQ((*last)->records().size(), (*whole)->records().size());
    for (size_t i = 0; i < (*last)->records().size(); ++i) {
      EXPECT_EQ((*last)->records()[i].loss, (*whole)->records()[i].loss) << i;
      EXPECT_EQ((*last)->records()[i].dev_loss, (*whole)->records()[i].dev_loss) << i;
    }
  }
}

TEST_F(SftSessionTest, ACheckpointDoesNotGrowWithTheRunAndOneOfBeforeIsContinued) {
  plan_.epochs = 4;
  auto whole = Open("whole");
  ASSERT_TRUE(whole.ok()) << whole.status();
  const std::string expected = TrainToTheEnd(**whole);
  const auto file_of = [&](const std::string& run, int step) {
    return CheckpointStore::FolderOf(root_ / run, step) + "/run.json";
  };
  const int last = static_cast<int>((*whole)->length().total_steps);
  EXPECT_LE(ParseSftRunFile(*ReadFile(file_of("whole", last)))->records.size(), 2u)
      << "the last one and the best";

  // With all records in the checkpoint and none beside it.
  SftRunFile file;
  {
    auto session = Open("old");
    ASSERT_TRUE(session.ok());
    while ((*session)->trainer().step() < 4) ASSERT_TRUE((*session)->Advance(Nothing).ok());
    file = (*session)->run_file();
  }
  auto store = CheckpointStore::Open(root_ / "old", {.checkpoints = 2});
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE(store
                  ->Save(4,
                         [&](const std::string& folder) {
                           std::filesystem::copy(
                               store->FolderOf(4), folder,
                               std::filesystem::copy_options::recursive |
                                   std::filesystem::copy_options::overwrite_existing);
                           return WriteFileSynced(folder + "/run.json", SerializeSftRunFile(file));
                         })
                  .ok());
  ASSERT_TRUE(std::filesystem::remove(root_ / "old/steps.jsonl"));
  auto session = Open("old");
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(TrainToTheEnd(**session), expected);
  ASSERT_EQ((*session)->records().size(), (*whole)->records().size());
  for (size_t i = 0; i < (*whole)->records().size(); ++i)
    EXPECT_EQ((*session)->records()[i].loss, (*whole)->records()[i].loss) << i;
}

TEST_F(SftSessionTest, WithoutDevPairsTheLastWeightsAreTheResult) {
  plan_.data.dev_fraction = 0;
  auto session = Open("run");
  ASSERT_TRUE(session.ok()) << session.status();
  const std::string sha256 = TrainToTheEnd(**session);
  EXPECT_EQ((*session)->best(), nullptr);
  EXPECT_EQ((*session)->records().front().step, 1);
  EXPECT_EQ(sha256, adapters::ContentHash((*session)->trainer().Adapter()));
}

TEST_F(SftSessionTest, AWorseningRunKeepsItsBestWeights) {
  plan_.epochs = 8;
  auto good = Open("good");
  ASSERT_TRUE(good.ok()) << good.status();
  const std::string start = TrainToTheEnd(**good);
  plan_.start_adapter = root_ / "good/adapter";
  plan_.epochs = 2;
  plan_.trainer.learning_rate = 3;
  auto session = Open("worse");
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(TrainToTheEnd(**session), start);
  EXPECT_EQ((*session)->best()->step, 0);
  EXPECT_GT(*(*session)->records().back().dev_loss, *(*session)->best()->dev_loss);
}

TEST_F(SftSessionTest, OtherSettingsAndOtherDataAreRefused) {
  {
    auto session = Open("run");
    ASSERT_TRUE(session.ok()) << session.status();
    ASSERT_TRUE((*session)->Advance(Nothing).ok());
  }
  const auto other = Open("run", "other spec");
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status()));
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("other spec"));
  std::ofstream(data_, std::ios::app) << R"({"dialogue": "a", "summary": "b"})"
                                      << "\n";
  const auto changed = Open("run");
  EXPECT_TRUE(absl::IsFailedPrecondition(changed.status())) << changed.status();
  EXPECT_THAT(std::string(changed.status().message()), HasSubstr("changed"));
}

TEST_F(SftSessionTest, AnAdapterCanBeGoneOnFromAndIsNotNeededAfterwards) {
  std::string start;
  {
    auto first = Open("first");
    ASSERT_TRUE(first.ok());
    TrainToTheEnd(**first);
    start = root_ / "first/adapter";
  }
  plan_.start_adapter = start;
  auto second = Open("second");
  ASSERT_TRUE(second.ok()) << second.status();
  const auto read = adapters::ReadPeftFolder(start);
  EXPECT_EQ(adapters::ContentHash((*second)->trainer().Adapter()), adapters::ContentHash(*read));
  ASSERT_TRUE((*second)->Advance(Nothing).ok());
  std::filesystem::remove_all(start);
  const auto again = Open("second");
  EXPECT_TRUE(again.ok()) << again.status();
  const auto third = Open("third");
  EXPECT_TRUE(absl::IsNotFound(third.status())) << third.status();
  EXPECT_THAT(std::string(third.status().message()), HasSubstr("start_adapter"));
}

TEST_F(SftSessionTest, AFullDiskKeepsTheCheckpointBefore) {
  {
    auto session = Open("run");
    ASSERT_TRUE(session.ok());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE((*session)->Advance(Nothing).ok());
    const auto failed = [&] {
      const testing::FileSizeLimit limit(512);
      return (*session)->Advance(Nothing);
    }();
    EXPECT_TRUE(absl::IsResourceExhausted(failed.status())) << failed.status();
  }
  auto session = Open("run");
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ((*session)->trainer().step(), 2);
  auto whole = Open("whole");
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(TrainToTheEnd(**session), TrainToTheEnd(**whole));
}

TEST_F(SftSessionTest, ALossThatIsNotFiniteKeepsTheLastCheckpoint) {
  plan_.trainer.learning_rate = 9e29;
  plan_.trainer.lora.lora_alpha = 1e9;
  plan_.data.dev_fraction = 0;
  auto session = Open("run");
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_TRUE((*session)->Checkpoint().ok());
  absl::Status status;
  while (status.ok() && !(*session)->done()) status = (*session)->Advance(Nothing).status();
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
  const auto again = Open("run");
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST_F(SftSessionTest, BadSettingsAreNamed) {
  for (const char* run_id : {"", "../x", "a/b"})
    EXPECT_TRUE(absl::IsInvalidArgument(Open(run_id).status())) << run_id;
  plan_.trainer.lora.target_modules = {"query"};
  const auto target = Open("run");
  EXPECT_TRUE(absl::IsInvalidArgument(target.status()));
  EXPECT_THAT(std::string(target.status().message()), HasSubstr("query"));
}

}  // namespace
}  // namespace mellow::learner
