#include "services/orchestrator/run/adapter_shelf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <latch>

#include "absl/strings/str_cat.h"
#include "services/orchestrator/run/champion_keeper.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdapterShelfTest : public ::testing::Test {
 protected:
  void Train(const std::string& run_id, int steps, int keep_adapters = 0) {
    DriverParts parts = life_.Parts();
    parts.keep_adapters = keep_adapters;
    ASSERT_TRUE(life_.Create(run_id).ok());
    const FakePromptSource prompts;
    RunDriver driver(parts, run_id, MakeRunConfig(steps), &prompts, &life_.observer,
                     {life_.stop.get_token(), life_.shutdown.get_token()});
    const absl::Status driven = driver.Run();
    ASSERT_TRUE(driven.ok()) << driven;
    ASSERT_TRUE(life_.ledger->SetRunState(run_id, RunState::kDone, "").ok());
  }
  static std::vector<std::string> Told(const std::vector<ShelvedAdapter>& list) {
    std::vector<std::string> told;
    for (const ShelvedAdapter& each : list)
      told.push_back(absl::StrCat(each.ref.version, " ", each.run_id, "@", each.step, " ",
                                  each.path.empty() ? "gone" : "there", " ", each.promotion));
    return told;
  }
  std::string FolderOf(int64_t version) const {
    return (*life_.ledger->FindAdapter(version))->folder;
  }

  testing::TempFolder folder_;
  FakeCluster cluster_{2, 1};
  Life life_{&cluster_, folder_.path()};
  AdapterShelf shelf_{life_.Parts()};
};

TEST_F(AdapterShelfTest, EveryCommittedStepIsThereWithItsRunAndWhatBecameOfIt) {
  Train("run-a", 3);
  ChampionKeeper champions(life_.Parts());
  const auto second = life_.ledger->Steps("run-a", 1, 1);
  ASSERT_TRUE(champions.Promote({.request_id = "1", .adapter = second->at(0).adapter}).ok())
      << "one that is not the newest";
  ASSERT_TRUE(champions
                  .Promote({.request_id = "2",
                            .adapter = {0, "from-a-folder"},
                            .files = adapters::PeftFiles{"{}", "from-a-folder"}})
                  .ok());
  std::filesystem::remove_all(FolderOf(3));
  const auto list = shelf_.List();
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(Told(*list), ElementsAre("1 run-a@1 there 0", "2 run-a@2 there 1", "3 run-a@3 gone 0",
                                       "4 @0 there 2"));
  EXPECT_EQ(list->at(1).learner_path, "/ckpt/run-a/2");
  EXPECT_EQ(list->at(1).path, FolderOf(2));
}

TEST_F(AdapterShelfTest, OnlyTheNewestStayWhenTheyAreBounded) {
  Train("run-a", 4, /*keep_adapters=*/2);
  EXPECT_THAT(Told(*shelf_.List()), ElementsAre("3 run-a@3 there 0", "4 run-a@4 there 0"));
  int folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "adapters/run-a")) {
    static_cast<void>(entry);
    ++folders;
  }
  EXPECT_EQ(folders, 2);
}

TEST_F(AdapterShelfTest, AnOldOneIsLoadedOnEveryNodeAndServedToNobodyElse) {
  Train("run-a", 3);
  const AdapterRef first = life_.ledger->Steps("run-a", 0, 1)->at(0).adapter;
  for (auto& policy : cluster_.policies) policy->Restart();  // have lost it
  cluster_.RegisterAll(&life_.registry);
  const auto loaded = shelf_.Load(first.version);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(*loaded, first);
  for (auto& policy : cluster_.policies) {
    const auto scores = policy->ScoreTokens({{{5, 1}, {6}}}, first.version);
    ASSERT_TRUE(scores.ok()) << scores.status();
    EXPECT_EQ(scores->adapter, first);
    EXPECT_EQ(policy->champion(), AdapterRef());
  }
}

TEST_F(AdapterShelfTest, NodesAreGivenOneAtTheSameTime) {
  Train("run-a", 1);
  ASSERT_TRUE(shelf_.Load(1).ok()) << "so the supervisor has nothing to ask of the nodes anymore";
  std::latch both(2);
  for (auto& policy : cluster_.policies) {
    policy->on_score_tokens = [&](int64_t, std::stop_token) {
      both.arrive_and_wait();
      return absl::OkStatus();
    };
  }
  const auto loaded = shelf_.Load(1);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
}

TEST_F(AdapterShelfTest, SaysWhatIsNotKeptAndWhatANodeDidNotProve) {
  Train("run-a", 1);
  EXPECT_TRUE(absl::IsInvalidArgument(shelf_.Load(0).status()));
  const absl::Status unknown = shelf_.Load(77).status();
  EXPECT_TRUE(absl::IsNotFound(unknown));
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("mellow adapters"));
  for (auto& policy : cluster_.policies) policy->keeps_old_weights = true;
  for (auto& policy : cluster_.policies) policy->Restart();
  EXPECT_FALSE(shelf_.Load(1).ok());
  std::filesystem::remove_all(FolderOf(1));
  const absl::Status gone = shelf_.Load(1).status();
  EXPECT_TRUE(absl::IsNotFound(gone));
  EXPECT_THAT(std::string(gone.message()), HasSubstr("files are not there"));
}

}  // namespace
}  // namespace mellow::orchestrator
