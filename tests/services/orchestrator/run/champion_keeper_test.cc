#include "services/orchestrator/run/champion_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/orchestrator/base/canary.h"
#include "tests/services/orchestrator/gate.h"
#include "tests/services/orchestrator/mortal_ledger.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/wait_until.h"

namespace mellow::orchestrator {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two policies, and an orchestrator process over a ledger that outlives it.
class ChampionKeeperTest : public ::testing::Test {
 protected:
  ChampionKeeperTest() { StartProcess(); }
  void StartProcess() {
    keeper_.reset();
    life_.reset();
    life_ = std::make_unique<Life>(&cluster_, folder_.path());
    keeper_ = std::make_unique<ChampionKeeper>(life_->Parts());
    ASSERT_TRUE(keeper_->Recover().ok());
  }
  // A run of some steps; returns its last adapter, which the ledger keeps.
  AdapterRef Train(const std::string& run_id, int steps) {
    const absl::Status driven = life_->Drive(run_id, MakeRunConfig(steps));
    EXPECT_TRUE(driven.ok()) << driven;
    EXPECT_TRUE(life_->ledger->SetRunState(run_id, RunState::kDone, "").ok());
    const auto newest = life_->ledger->NewestAdapterOf(run_id);
    EXPECT_TRUE(newest.ok() && newest->has_value());
    return newest.ok() && newest->has_value() ? (*newest)->ref : AdapterRef();
  }
  static PromotionOrder OrderOf(const AdapterRef& adapter, const std::string& request_id) {
    return {.request_id = request_id, .adapter = adapter};
  }
  // The fakes take the hash for the bytes.
  static PromotionOrder OrderOfFolder(const std::string& sha256, const std::string& request_id) {
    return {.request_id = request_id,
            .adapter = {0, sha256},
            .files = adapters::PeftFiles{"{}", sha256}};
  }
  static void Damage(const std::string& folder) {
    std::ofstream(folder + "/adapter_model.safetensors") << "a flipped bit";
  }
  std::vector<AdapterRef> Served() const {
    return {cluster_.policies[0]->champion(), cluster_.policies[1]->champion()};
  }
  std::vector<PromotionEvent> History() const {
    const auto history = keeper_->History();
    EXPECT_TRUE(history.ok()) << history.status();
    return history.ok() ? *history : std::vector<PromotionEvent>();
  }

  testing::TempFolder folder_;
  FakeCluster cluster_{2, 1};
  std::unique_ptr<Life> life_;
  std::unique_ptr<ChampionKeeper> keeper_;
};

TEST_F(ChampionKeeperTest, APromotionReachesEveryNodeAndTheHistory) {
  const AdapterRef adapter = Train("run-a", 2);
  PromotionOrder order = OrderOf(adapter, "request-1");
  order.evidence = {
      "eval", "abc", {{"toxicity", true, "-0.4"}, {"rougeL", false, "-0.1"}}, true, "needed today"};
  const auto event = keeper_->Promote(order);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_THAT(Served(), ElementsAre(adapter, adapter));
  ASSERT_EQ(History().size(), 1u);
  const PromotionEvent kept = History()[0];
  EXPECT_EQ(kept.champion->ref, adapter);
  EXPECT_EQ(kept.champion->run_id, "run-a");
  EXPECT_FALSE(kept.previous.has_value());
  EXPECT_EQ(kept.evidence, order.evidence);
  EXPECT_FALSE(kept.champion->canary.pairs.empty()) << "a run's adapter comes with its canary";
  const auto files = life_->Parts().adapters->Read(kept.champion->folder, adapter.sha256);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(files->model_card, HasSubstr("- method: PPO\n"));
  EXPECT_THAT(files->model_card, HasSubstr("- steps: `2 of 2`\n"));
  EXPECT_THAT(files->model_card, HasSubstr("| `toxicity` | yes | `-0.4` |\n"));
  EXPECT_THAT(files->model_card, HasSubstr("promoted although a gate failed"));
  EXPECT_THAT(life_->registry_of_metrics.Text(),
              HasSubstr("mellow_orchestrator_champion_info{hash=\"" + adapter.sha256));
}

TEST_F(ChampionKeeperTest, TheSameRequestPromotesOnce) {
  const AdapterRef adapter = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(adapter, "request-1")).ok());
  const auto again = keeper_->Promote(OrderOf(adapter, "request-1"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->sequence, History()[0].sequence);
  EXPECT_EQ(History().size(), 1u);
}

TEST_F(ChampionKeeperTest, RollingBackGoesTheWayBackStepByStep) {
  const AdapterRef first = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(first, "1")).ok());
  const AdapterRef second = Train("run-b", 2);
  ASSERT_TRUE(keeper_->Promote(OrderOf(second, "2")).ok());
  EXPECT_THAT(Served(), ElementsAre(second, second));

  ASSERT_TRUE(keeper_->RollBack("3", "complaints").ok());
  EXPECT_THAT(Served(), ElementsAre(first, first)) << "older than the newest version, and taken";
  ASSERT_TRUE(keeper_->RollBack("4", "").ok());
  EXPECT_THAT(Served(), ElementsAre(AdapterRef{}, AdapterRef{}));
  EXPECT_EQ(keeper_->RollBack("5", "").status().code(), absl::StatusCode::kFailedPrecondition);

  const std::vector<PromotionEvent> history = History();
  ASSERT_EQ(history.size(), 4u);
  EXPECT_EQ(history[2].action, PromotionAction::kRollBack);
  EXPECT_EQ(history[2].champion->ref, first);
  EXPECT_EQ(history[2].previous, second);
  EXPECT_EQ(history[2].evidence.reason, "complaints");
  EXPECT_FALSE(history[3].champion.has_value());
}

TEST_F(ChampionKeeperTest, OkMeansThatEveryNodeServesIt) {
  const AdapterRef first = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(first, "1")).ok());
  std::atomic<bool> refusing{true};
  cluster_.on_call = [&](const std::string& name) {
    return name == "policy.PublishAdapter" && refusing ? absl::ResourceExhaustedError("too busy")
                                                       : absl::OkStatus();
  };
  const auto refused = keeper_->RollBack("2", "complaints");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.status().message()),
              ::testing::AllOf(HasSubstr("not every node serves it yet: policy-0 ("),
                               HasSubstr("too busy"), HasSubstr("policy-1 (")));
  EXPECT_EQ(History().size(), 2u) << "it is recorded, and delivered as soon as they take it";
  refusing = false;
  EXPECT_TRUE(testing::WaitUntil([&] { return keeper_->RollBack("2", "complaints").ok(); }));
  EXPECT_THAT(Served(), ElementsAre(AdapterRef{}, AdapterRef{}));
  EXPECT_EQ(History().size(), 2u);
}

// Loses the champion's file right after its promotion was recorded.
class LosingLedger : public MortalLedger {
 public:
  using MortalLedger::MortalLedger;
  absl::Status AddPromotion(PromotionEvent* event) override {
    const absl::Status added = MortalLedger::AddPromotion(event);
    if (added.ok() && lose) std::filesystem::rename(event->champion->folder, moved);
    folder = event->champion->folder;
    return added;
  }
  bool lose = true;
  std::string moved;
  std::string folder;
};

TEST_F(ChampionKeeperTest, ARecordedPromotionThatWasNotServedIsServedWhenItIsAskedForAgain) {
  const PromotionOrder order = OrderOfFolder("from-a-folder", "1");
  KillSwitch never;
  DriverParts parts = life_->Parts();
  LosingLedger ledger(life_->ledger.get(), &never);
  ledger.moved = folder_ / "moved";
  parts.ledger = &ledger;
  ChampionKeeper keeper(parts);
  EXPECT_FALSE(keeper.Promote(order).ok());
  EXPECT_FALSE(keeper.Promote(order).ok()) << "it is not served, whatever the history says";
  std::filesystem::rename(ledger.moved, ledger.folder);
  const auto event = keeper.Promote(order);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_THAT(Served(), ElementsAre(event->champion->ref, event->champion->ref));
  EXPECT_EQ(History().size(), 1u);
}

TEST_F(ChampionKeeperTest, AChampionThatIsDamagedComesFromTheCopyOfItsRun) {
  const AdapterRef adapter = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(adapter, "1")).ok());
  Damage(History()[0].champion->folder);
  for (auto& policy : cluster_.policies) policy->Restart();
  StartProcess();
  EXPECT_TRUE(testing::WaitUntil([&] { return life_->registry.Untried() == 0; }));
  EXPECT_THAT(Served(), ElementsAre(adapter, adapter));
  EXPECT_EQ(keeper_->Trouble(), "");
}

// No copy of the second champion is whole when the process comes back.
TEST_F(ChampionKeeperTest, AChampionThatNobodyHasStopsNoProcessAndCanBeRolledBackOrMended) {
  const AdapterRef first = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(first, "1")).ok());
  const auto second = keeper_->Promote(OrderOfFolder("from-a-folder", "2"));
  ASSERT_TRUE(second.ok()) << second.status();
  for (const bool gone : {false, true}) {
    SCOPED_TRACE(gone);
    if (gone) {
      std::filesystem::remove_all(second->champion->folder);
    } else {
      Damage(second->champion->folder);
    }
    for (auto& policy : cluster_.policies) policy->Restart();
    StartProcess();
    EXPECT_TRUE(testing::WaitUntil([&] { return life_->registry.Untried() == 0; }));
    EXPECT_THAT(Served(), ElementsAre(first, first));
    EXPECT_THAT(
        keeper_->Trouble(),
        ::testing::AllOf(HasSubstr("adapter 2 (from-a-folde), cannot be served: "),
                         HasSubstr(second->champion->folder), HasSubstr("users get adapter 1 (")));
    const auto mended = keeper_->Promote(OrderOfFolder("from-a-folder", absl::StrCat("3", gone)));
    ASSERT_TRUE(mended.ok()) << mended.status();
    EXPECT_EQ(mended->champion->ref, second->champion->ref);
    EXPECT_THAT(Served(), ElementsAre(second->champion->ref, second->champion->ref));
    EXPECT_EQ(keeper_->Trouble(), "");
  }
  Damage(second->champion->folder);
  StartProcess();
  EXPECT_NE(keeper_->Trouble(), "");
  ASSERT_TRUE(keeper_->RollBack("4", "").ok());
  EXPECT_THAT(Served(), ElementsAre(first, first)) << "it stands once in the way back";
  EXPECT_EQ(keeper_->Trouble(), "");
}

TEST_F(ChampionKeeperTest, ARollBackDoesNotWaitForANodeThatHangsWhileItTriesAnAdapter) {
  const AdapterRef first = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(first, "1")).ok());
  Gate gate;
  for (auto& policy : cluster_.policies) {
    policy->on_score_tokens = [&](int64_t version, std::stop_token stop) {
      return version > first.version ? gate.Pass(stop) : absl::OkStatus();
    };
  }
  auto promoted = std::async(std::launch::async,
                             [&] { return keeper_->Promote(OrderOfFolder("from-a-folder", "2")); });
  gate.WaitForSomebody();
  ASSERT_TRUE(keeper_->RollBack("3", "complaints").ok());
  EXPECT_THAT(Served(), ElementsAre(AdapterRef{}, AdapterRef{}));
  gate.Open();
  const auto event = promoted.get();
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_FALSE(event->previous.has_value()) << "what it was when it was recorded";
  EXPECT_THAT(Served(), ElementsAre(event->champion->ref, event->champion->ref));
  EXPECT_EQ(History().size(), 3u);
}

TEST_F(ChampionKeeperTest, FoldersThatNoRollBackCanGoToAreRemoved) {
  const auto folders = [&] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "adapters/champions"))
      names.insert(entry.path().filename().string());
    return names;
  };
  const AdapterRef first = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(first, "1")).ok());
  const auto second = keeper_->Promote(OrderOfFolder("from-a-folder", "2"));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(folders().size(), 2u);
  ASSERT_TRUE(keeper_->RollBack("3", "").ok());
  EXPECT_THAT(folders(), ElementsAre(absl::StrCat("v", first.version)));
  EXPECT_TRUE(absl::IsNotFound(keeper_->Promote(OrderOf(second->champion->ref, "4")).status()));
  EXPECT_THAT(Served(), ElementsAre(first, first));
}

TEST_F(ChampionKeeperTest, BytesGetACanaryThatTwoNodesAgreeOn) {
  const auto event = keeper_->Promote(OrderOfFolder("from-a-folder", "1"));
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->champion->canary.pairs.size(), CanaryTexts().size());
  EXPECT_EQ(event->champion->canary.expected.size(), CanaryTexts().size());

  cluster_.policies[1]->keeps_old_weights = true;
  const auto refused = keeper_->Promote(OrderOfFolder("another-folder", "2"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              ::testing::AllOf(HasSubstr("policy-0"), HasSubstr("policy-1"),
                               HasSubstr("one of them has not the weights that it says")));
  EXPECT_EQ(History().size(), 1u);
  EXPECT_EQ(cluster_.policies[0]->champion().sha256, "from-a-folder");
}

TEST_F(ChampionKeeperTest, TheChampionSurvivesTheProcessAndLaterRuns) {
  const AdapterRef champion = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(champion, "1")).ok());
  StartProcess();
  cluster_.policies[0]->Restart();  // has lost everything
  cluster_.RegisterAll(&life_->registry);
  Train("run-b", 3);  // its publications need both nodes verified
  EXPECT_THAT(Served(), ElementsAre(champion, champion));
}

TEST_F(ChampionKeeperTest, AFolderGetsAVersionOfItsOwn) {
  const AdapterRef trained = Train("run-a", 2);
  const auto event = keeper_->Promote(OrderOfFolder("from-a-folder", "1"));
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_GT(event->champion->ref.version, trained.version);
  EXPECT_EQ(event->champion->ref.sha256, "from-a-folder");
  EXPECT_EQ(event->champion->run_id, "");
  EXPECT_THAT(Served(), ElementsAre(event->champion->ref, event->champion->ref));
}

TEST_F(ChampionKeeperTest, AFolderWithKnownWeightsKeepsTheirVersionAndRun) {
  const AdapterRef trained = Train("run-a", 2);
  const auto event = keeper_->Promote(OrderOfFolder(trained.sha256, "1"));
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->champion->ref, trained);
  EXPECT_EQ(event->champion->run_id, "run-a");
}

TEST_F(ChampionKeeperTest, WhatANodeDoesNotTakeIsNotRecorded) {
  const AdapterRef first = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(first, "1")).ok());
  PromotionOrder order = OrderOfFolder("announced", "2");
  order.files->safetensors = "others";
  const auto refused = keeper_->Promote(order);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kDataLoss) << refused.status();
  EXPECT_EQ(History().size(), 1u);
  EXPECT_THAT(Served(), ElementsAre(first, first));
}

TEST_F(ChampionKeeperTest, BytesThatAreNotWhatTheySayAreRefusedAlsoForKnownWeights) {
  const AdapterRef trained = Train("run-a", 2);
  PromotionOrder order = OrderOfFolder(trained.sha256, "1");
  order.files->safetensors = "others";
  EXPECT_EQ(keeper_->Promote(order).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(History().empty());
}

TEST_F(ChampionKeeperTest, TheChampionIsNotPromotedTwice) {
  const AdapterRef first = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(first, "1")).ok());
  const auto folder = keeper_->Promote(OrderOfFolder("from-a-folder", "2"));
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(keeper_->Promote(OrderOfFolder("from-a-folder", "3")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(keeper_->RollBack("4", "").ok());
  EXPECT_THAT(Served(), ElementsAre(first, first));
  const auto again = keeper_->Promote(OrderOfFolder("from-a-folder", "5"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->champion->ref, folder->champion->ref) << "a former champion keeps its version";
}

TEST_F(ChampionKeeperTest, TheBaseModelIsPromotedAndRolledBackLikeAnAdapter) {
  const PromotionOrder base = {.request_id = "1", .base = true};
  EXPECT_EQ(keeper_->Promote(base).status().code(), absl::StatusCode::kFailedPrecondition)
      << "it is the champion before anything was promoted";
  const AdapterRef adapter = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(adapter, "2")).ok());
  const auto event = keeper_->Promote({.request_id = "3", .base = true});
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_TRUE(event->champion->IsBase());
  EXPECT_EQ(event->previous, adapter);
  EXPECT_THAT(Served(), ElementsAre(AdapterRef{}, AdapterRef{}));
  StartProcess();
  EXPECT_THAT(Served(), ElementsAre(AdapterRef{}, AdapterRef{}));
  ASSERT_TRUE(keeper_->RollBack("4", "").ok());
  EXPECT_THAT(Served(), ElementsAre(adapter, adapter));
  EXPECT_EQ(keeper_->Promote({.request_id = "5", .adapter = adapter, .base = true}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ChampionKeeperTest, AFailedCanaryIsCountedAndNotRecorded) {
  const AdapterRef adapter = Train("run-a", 1);
  for (auto& policy : cluster_.policies) policy->keeps_old_weights = true;
  const auto refused = keeper_->Promote(OrderOf(adapter, "1"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("canary"));
  EXPECT_TRUE(History().empty());
  EXPECT_THAT(Served(), ElementsAre(AdapterRef{}, AdapterRef{}));
  for (const auto& policy : cluster_.policies)
    EXPECT_TRUE(policy->champions().empty()) << "no user got it, not for a moment";
  EXPECT_THAT(life_->registry_of_metrics.Text(),
              ContainsRegex("mellow_orchestrator_canary_failures_total.node=\"policy-[01]\". 1"))
      << "whichever tried it first";
}

TEST_F(ChampionKeeperTest, BadOrdersAreNamed) {
  const AdapterRef adapter = Train("run-a", 1);
  const auto unknown = keeper_->Promote(OrderOf({77, ""}, "1"));
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(unknown.status().message()),
              HasSubstr("there is no such version (kept are 1"));
  EXPECT_EQ(keeper_->Promote(OrderOf({adapter.version, "another"}, "2")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(keeper_->Promote(OrderOf({0, ""}, "3")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(keeper_->Promote(OrderOf(adapter, "")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(History().empty());
}

TEST_F(ChampionKeeperTest, WithoutAPolicyNodeNothingIsPromoted) {
  const AdapterRef adapter = Train("run-a", 1);
  for (auto& policy : cluster_.policies) policy->Kill();
  const auto refused = keeper_->Promote(OrderOf(adapter, "1"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable) << refused.status();
  EXPECT_TRUE(History().empty());
}

// Killed before its first record: a node that tried the adapter must not go on serving it.
TEST_F(ChampionKeeperTest, AKilledFirstPromotionLeavesNoChampion) {
  const AdapterRef adapter = Train("run-a", 1);
  for (int call = 1; call <= 6; ++call) {
    life_->DieAt(call, /*after_effect=*/true);
    const std::string request = absl::StrCat(call);
    (void)keeper_->Promote(OrderOf(adapter, request));
    StartProcess();
    while (life_->registry.Untried() > 0) sched_yield();
    if (History().empty()) {
      EXPECT_THAT(Served(), ElementsAre(AdapterRef{}, AdapterRef{})) << "call " << call;
    } else {
      EXPECT_THAT(Served(), ElementsAre(adapter, adapter)) << "call " << call;
      return;
    }
  }
}

// Killed at any call, before or after its effect: the next process serves what the history says.
TEST_F(ChampionKeeperTest, AKilledPromotionHappenedOrDidNot) {
  const AdapterRef first = Train("run-a", 1);
  ASSERT_TRUE(keeper_->Promote(OrderOf(first, "1")).ok());
  const AdapterRef second = Train("run-b", 2);
  for (const bool after_effect : {false, true}) {
    for (int call = 1; call <= 7; ++call) {
      life_->DieAt(call, after_effect);
      const std::string request = absl::StrCat("2-", call, after_effect);
      const bool answered = keeper_->Promote(OrderOf(second, request)).ok();
      StartProcess();
      const bool recorded = History().back().request_id == request;
      EXPECT_TRUE(recorded || !answered) << "call " << call;
      const AdapterRef expected = recorded ? second : first;
      // The nodes that are there are told before they may work.
      while (life_->registry.Untried() > 0) sched_yield();
      EXPECT_THAT(Served(), ElementsAre(expected, expected)) << "call " << call;
      if (recorded) {
        ASSERT_TRUE(keeper_->RollBack(absl::StrCat("back-", request), "").ok());
      }
    }
  }
}

}  // namespace
}  // namespace mellow::orchestrator
