#include "services/orchestrator/rollouts/rollout_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <set>

#include "common/base/sha256.h"
#include "common/base/steady_time.h"
#include "tests/services/orchestrator/gate.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

class RolloutCollectorTest : public ::testing::Test {
 protected:
  explicit RolloutCollectorTest(int policies = 2, int rewards = 1) : cluster_(policies, rewards) {
    config_ = MakeRunConfig(/*steps=*/1);
    config_.batch_size = 32;
  }
  void SetUp() override { life_ = std::make_unique<Life>(&cluster_, folder_.path()); }

  CollectTask MakeTask() {
    CollectTask task{.run_id = "run", .step = 1};
    task.prompts = *StepPrompts(FakePromptSource(), config_, 1);
    task.value_head = value_head_;
    task.reference = reference_;
    return task;
  }
  absl::StatusOr<Collected> Collect() {
    const DriverParts parts = life_->Parts();
    const CollectorParts collector{parts.ledger,
                                   parts.registry,
                                   parts.clients,
                                   parts.metrics,
                                   parts.tokenizer,
                                   &life_->observer,
                                   {life_->stop.get_token(), life_->shutdown.get_token()}};
    return CollectStep(collector, config_, MakeTask());
  }
  // As after some leases, and a canary that was passed.
  void MeasureAndVerify(NodeRole role) {
    for (const NodeHandle& node : life_->registry.Ready(role, SteadyTime::Now()))
      life_->registry.ReportLease(node.node_id, 1000, absl::Seconds(1));
    life_->registry.RequireVerification(role, "waits for the canary");
    for (const NodeHandle& node : life_->registry.ClaimUnverified(SteadyTime::Now()))
      life_->registry.MarkVerified(node);
  }
  double LeasesWith(const std::string& result) {
    const std::string text = life_->registry_of_metrics.Text();
    const std::string name = "mellow_orchestrator_leases_total{result=\"" + result + "\"} ";
    const size_t at = text.find(name);
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size()));
  }
  // What every correct collection of this step gives.
  static void ExpectComplete(const absl::StatusOr<Collected>& collected, int prompts) {
    ASSERT_TRUE(collected.ok()) << collected.status();
    ASSERT_EQ(static_cast<int>(collected->rollouts.size()), prompts);
    for (int i = 0; i < prompts; ++i) {
      const Rollout& rollout = collected->rollouts[i];
      EXPECT_EQ(rollout.prompt_index, static_cast<uint64_t>(i));
      EXPECT_EQ(rollout.logprobs, FakeLogProbs("", rollout.query_ids, rollout.response_ids));
      EXPECT_TRUE(rollout.score.has_value());
    }
  }

  testing::TempFolder folder_;
  FakeCluster cluster_;
  RunConfig config_;
  std::string value_head_;
  std::optional<ReferenceWeights> reference_;
  std::unique_ptr<Life> life_;
};

TEST_F(RolloutCollectorTest, EveryPromptIsSampledAndScoredOnce) {
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(cluster_.policies[0]->generated + cluster_.policies[1]->generated, 32);
  EXPECT_EQ(cluster_.rewards[0]->scored, 32);
  EXPECT_EQ(LeasesWith("done"), 8);
}

TEST_F(RolloutCollectorTest, WhatTheLedgerHasIsNotSampledAgain) {
  ExpectComplete(Collect(), 32);
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(cluster_.policies[0]->generated + cluster_.policies[1]->generated, 32);
  EXPECT_EQ(cluster_.rewards[0]->scored, 32);
}

TEST_F(RolloutCollectorTest, AFastNodeDoesTheShardsThatASlowOneWouldHold) {
  // The slow node said its speed and holds its first shard until all others are done.
  cluster_.policies[0]->tokens_per_second = 1;
  cluster_.policies[1]->tokens_per_second = 1e6;
  Gate gate;
  cluster_.policies[0]->on_generate = [&](const GenerateCall&, std::stop_token stop) {
    return gate.Pass(stop);
  };
  life_ = nullptr;
  life_ = std::make_unique<Life>(&cluster_, folder_.path());
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(cluster_.policies[0]->generated, 0);
  EXPECT_EQ(cluster_.policies[1]->generated, 32);
}

TEST_F(RolloutCollectorTest, RewardsAreScoredWhileOtherShardsStillGenerate) {
  Gate generate;
  std::atomic<int> scored_meanwhile{0};
  cluster_.policies[0]->on_generate = [&](const GenerateCall& call, std::stop_token stop) {
    // The first shard comes at once, every other one waits until that one was scored.
    return call.prompts.front().prompt_index == 0 ? absl::OkStatus() : generate.Pass(stop);
  };
  cluster_.policies[1]->on_generate = cluster_.policies[0]->on_generate;
  cluster_.rewards[0]->on_score = [&](const std::vector<std::string>&, std::stop_token) {
    if (scored_meanwhile++ == 0) generate.Open();
    return absl::OkStatus();
  };
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(scored_meanwhile, 8);
}

TEST_F(RolloutCollectorTest, TheShardOfANodeThatIsKilledGoesToAnother) {
  Gate never;
  cluster_.policies[0]->on_generate = [&](const GenerateCall&, std::stop_token stop) {
    return never.Pass(stop);
  };
  std::future<absl::StatusOr<Collected>> collected =
      std::async(std::launch::async, [&] { return Collect(); });
  never.WaitForSomebody();
  // It does not answer and sends no heartbeat anymore; the others do.
  cluster_.policies[0]->Kill();
  const SteadyTime later = SteadyTime::Now() + absl::Hours(2);
  ASSERT_TRUE(life_->registry.Register(cluster_.policies[1]->Report(), later).ok());
  ASSERT_TRUE(life_->registry.Register(cluster_.rewards[0]->Report(), later).ok());
  life_->registry.Sweep(later);
  ExpectComplete(collected.get(), 32);
  EXPECT_EQ(LeasesWith("lost"), 1);
  EXPECT_EQ(cluster_.policies[1]->generated, 32);
}

TEST_F(RolloutCollectorTest, ALateShardGoesToAnotherNodeAndCountsOnce) {
  config_.lease = absl::Milliseconds(500);
  Gate never;
  cluster_.policies[0]->on_generate = [&](const GenerateCall&, std::stop_token stop) {
    return never.Pass(stop);
  };
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(LeasesWith("late"), 1);
  EXPECT_EQ(LeasesWith("done"), 8);
  EXPECT_EQ(cluster_.policies[1]->generated, 32);
  EXPECT_EQ(life_->ledger->Rollouts("run", 1)->size(), 32u);
}

// Rollouts that have the right log-probs under the reference "old".
int UnderTheReference(const std::vector<Rollout>& rollouts) {
  int count = 0;
  for (const Rollout& rollout : rollouts) {
    if (rollout.reference_logprobs.empty()) continue;
    EXPECT_EQ(rollout.reference, (AdapterRef{3, "old"}));
    EXPECT_EQ(rollout.reference_logprobs,
              FakeLogProbs("old", rollout.query_ids, rollout.response_ids));
    ++count;
  }
  return count;
}

ReferenceWeights MakeReference() {
  return {{3, "old"},
          std::make_shared<const adapters::PeftFiles>(adapters::PeftFiles{"{}", "old", ""})};
}

TEST_F(RolloutCollectorTest, NodesGiveValuesWhenTheyAreAsked) {
  ExpectComplete(Collect(), 32);
  EXPECT_TRUE(life_->ledger->Rollouts("run", 1)->at(0).values.empty());
  ASSERT_TRUE(life_->ledger->CommitStep("run", {.step = 4}).ok());  // forgets them
  value_head_ = "head";
  const auto collected = Collect();
  ExpectComplete(collected, 32);
  for (const std::vector<Rollout>& rollouts :
       {collected->rollouts, *life_->ledger->Rollouts("run", 1)}) {
    for (const Rollout& rollout : rollouts) {
      EXPECT_EQ(rollout.values, FakeValues("", "head", rollout.query_ids, rollout.response_ids));
      EXPECT_EQ(rollout.value_head_sha256, Sha256Hex("head"));
    }
  }
}

TEST_F(RolloutCollectorTest, ShardsAreScoredUnderTheReferenceWhichNodesAreGivenWhenTheyLackIt) {
  reference_ = MakeReference();
  const auto collected = Collect();
  ExpectComplete(collected, 32);
  EXPECT_EQ(UnderTheReference(collected->rollouts), 32);
  EXPECT_EQ(UnderTheReference(*life_->ledger->Rollouts("run", 1)), 32);
  const int published = cluster_.policies[0]->references + cluster_.policies[1]->references;
  EXPECT_GE(published, 1);
  EXPECT_LE(published, 2) << "once a node";

  // Nothing is left to do: also after a restart.
  for (auto& policy : cluster_.policies) {
    policy->on_score_tokens = [](int64_t, std::stop_token) {
      ADD_FAILURE() << "scored again";
      return absl::OkStatus();
    };
  }
  EXPECT_EQ(UnderTheReference(Collect()->rollouts), 32);
}

TEST_F(RolloutCollectorTest, ARestartScoresWhatIsMissingAlone) {
  ExpectComplete(Collect(), 32);
  reference_ = MakeReference();
  const auto collected = Collect();
  ExpectComplete(collected, 32);
  EXPECT_EQ(UnderTheReference(collected->rollouts), 32);
  EXPECT_EQ(cluster_.policies[0]->generated + cluster_.policies[1]->generated, 32);
}

TEST_F(RolloutCollectorTest, ANodeThatSamplesIsNotAskedForTheReference) {
  reference_ = MakeReference();
  // The first node samples its first shard until the other is asked for the reference.
  Gate gate;
  cluster_.policies[0]->on_generate = [&](const GenerateCall&, std::stop_token stop) {
    return gate.Pass(stop);
  };
  cluster_.policies[0]->on_score_tokens = [&](int64_t, std::stop_token) {
    EXPECT_GT(cluster_.policies[0]->generated, 0) << "asked while it sampled";
    return absl::OkStatus();
  };
  cluster_.policies[1]->on_score_tokens = [&](int64_t, std::stop_token) {
    gate.Open();
    return absl::OkStatus();
  };
  const auto collected = Collect();
  ExpectComplete(collected, 32);
  EXPECT_EQ(UnderTheReference(collected->rollouts), 32);
}

TEST_F(RolloutCollectorTest, AReferenceThatNoNodeCanScoreIsLeftToTheLearner) {
  reference_ = MakeReference();
  for (const absl::Status& status :
       {absl::InternalError("out of memory"), absl::UnavailableError("draining"),
        absl::InvalidArgumentError("pairs: 9 tokens together, at most 8 a request")}) {
    ASSERT_TRUE(life_->ledger->CommitStep("run", {.step = 4}).ok());  // forgets the last round
    for (auto& policy : cluster_.policies)
      policy->on_score_tokens = [status](int64_t, std::stop_token) { return status; };
    const auto collected = Collect();
    ExpectComplete(collected, 32);
    EXPECT_EQ(UnderTheReference(collected->rollouts), 0);
  }
  for (const NodeStatus& node : life_->registry.List()) {
    EXPECT_EQ(node.state, NodeState::kReady) << node.reason;
    EXPECT_EQ(node.leases_lost, 0);
  }
}

TEST_F(RolloutCollectorTest, WhatOneNodeDoesNotScoreUnderTheReferenceAnotherDoes) {
  reference_ = MakeReference();
  cluster_.policies[0]->on_score_tokens = [](int64_t, std::stop_token) {
    return absl::InternalError("out of memory");
  };
  const auto collected = Collect();
  ExpectComplete(collected, 32);
  EXPECT_EQ(UnderTheReference(collected->rollouts), 32);
}

TEST_F(RolloutCollectorTest, ANodeWithAnotherReferenceIsNotBelieved) {
  reference_ = MakeReference();
  // They have that version, of other weights.
  for (auto& policy : cluster_.policies) {
    ASSERT_TRUE(
        policy->PublishAdapter({3, "new"}, {"{}", "new", ""}, wire::Publication::kReference).ok());
  }
  const auto collected = Collect();
  ExpectComplete(collected, 32);
  EXPECT_EQ(UnderTheReference(collected->rollouts), 0);
}

// Who was quarantined why, seen as it happens: who passes its canary is ready again soon.
class Quarantines {
 public:
  explicit Quarantines(NodeRegistry* registry)
      : registry_(registry), subscription_(registry, [this] { Look(); }) {}
  std::set<std::pair<std::string, std::string>> reasons() const {
    MutexLock lock(&mutex_);
    return reasons_;
  }

 private:
  void Look() {
    for (const NodeStatus& node : registry_->List()) {
      if (node.state != NodeState::kQuarantined) continue;
      MutexLock lock(&mutex_);
      reasons_.insert({node.report.node_id, node.reason});
    }
  }
  NodeRegistry* const registry_;
  mutable Mutex mutex_;
  std::set<std::pair<std::string, std::string>> reasons_ ABSL_GUARDED_BY(mutex_);
  const NodeRegistry::Subscription subscription_;
};

// A node whose speed is known hangs: the others do its shards as soon as its past says that it is
// late, not when the lease of the run ends, and it is left behind until it passes its canary.
TEST_F(RolloutCollectorTest, AHungPolicyIsLeftBehindByItsOwnPast) {
  config_.lease = absl::Hours(1);
  MeasureAndVerify(NodeRole::kPolicy);
  Gate never;
  cluster_.policies[0]->on_generate = [&](const GenerateCall&, std::stop_token stop) {
    return never.Pass(stop);
  };
  Quarantines quarantines(&life_->registry);
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(cluster_.policies[1]->generated, 32);
  EXPECT_THAT(quarantines.reasons(),
              ::testing::Contains(::testing::Pair(
                  "policy-0",
                  "left behind: step 1: generate, shard 0 was late here, and policy-1 "
                  "did it meanwhile")));
}

class TwoRewardsTest : public RolloutCollectorTest {
 protected:
  TwoRewardsTest() : RolloutCollectorTest(/*policies=*/2, /*rewards=*/2) {}
};

TEST_F(TwoRewardsTest, AHungRewardNodeIsLeftBehindByItsOwnPast) {
  config_.lease = absl::Hours(1);
  MeasureAndVerify(NodeRole::kReward);
  Gate never;
  cluster_.rewards[0]->on_score = [&](const std::vector<std::string>&, std::stop_token stop) {
    return never.Pass(stop);
  };
  Quarantines quarantines(&life_->registry);
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(cluster_.rewards[1]->scored, 32);
  EXPECT_THAT(quarantines.reasons(), ::testing::Contains(::testing::Pair(
                                         "reward-0", HasSubstr("left behind: step 1: score"))));
}

TEST_F(RolloutCollectorTest, WhatOneNodeCannotDoGoesToAnother) {
  cluster_.policies[0]->on_generate = [](const GenerateCall&, std::stop_token) {
    return absl::InvalidArgumentError("max_new_tokens: 200: at most 128");
  };
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(cluster_.policies[1]->generated, 32);
}

TEST_F(RolloutCollectorTest, ANodeThatCannotDoItIsNamedWhileTheOneThatMightIsAway) {
  cluster_.policies[0]->on_generate = [](const GenerateCall&, std::stop_token) {
    return absl::InvalidArgumentError("max_new_tokens: 200: at most 128");
  };
  std::atomic<bool> away{true};
  cluster_.policies[1]->on_generate = [&](const GenerateCall&, std::stop_token) {
    return away ? absl::UnavailableError("draining") : absl::OkStatus();
  };
  std::future<absl::StatusOr<Collected>> collected =
      std::async(std::launch::async, [&] { return Collect(); });
  life_->observer.WaitForActivity("policy-0 cannot do it: max_new_tokens: 200: at most 128");
  away = false;
  ExpectComplete(collected.get(), 32);
}

TEST_F(RolloutCollectorTest, ANodeThatFailsNowAndThenCostsNothing) {
  std::atomic<int> calls{0};
  cluster_.policies[0]->on_generate = [&](const GenerateCall&, std::stop_token) {
    return calls++ % 2 == 0 ? absl::UnavailableError("flaky") : absl::OkStatus();
  };
  std::atomic<int> scores{0};
  cluster_.rewards[0]->on_score = [&](const std::vector<std::string>&, std::stop_token) {
    return scores++ == 0 ? absl::ResourceExhaustedError("queue full") : absl::OkStatus();
  };
  ExpectComplete(Collect(), 32);
  EXPECT_EQ(life_->ledger->Rollouts("run", 1)->size(), 32u);
}

TEST_F(RolloutCollectorTest, ARequestThatThePoliciesRefuseEndsTheRun) {
  for (auto& policy : cluster_.policies) {
    policy->on_generate = [](const GenerateCall&, std::stop_token) {
      return absl::InvalidArgumentError("max_new_tokens: 600: at most 512");
    };
  }
  const auto collected = Collect();
  EXPECT_EQ(collected.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(collected.status().message()), HasSubstr("max_new_tokens: 600"));
}

TEST_F(RolloutCollectorTest, AnUnknownLabelEndsTheRunNamingTheLabelsThatThereAre) {
  config_.reward.label = "kind";
  const auto collected = Collect();
  EXPECT_EQ(collected.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(collected.status().message()), HasSubstr("nothate, hate"));
}

TEST_F(RolloutCollectorTest, SaysWhatItWaitsForWhenNobodyIsThere) {
  NodeRegistry empty(absl::Hours(1));
  DriverParts parts = life_->Parts();
  const CollectorParts collector{parts.ledger,
                                 &empty,
                                 parts.clients,
                                 parts.metrics,
                                 parts.tokenizer,
                                 &life_->observer,
                                 {life_->stop.get_token(), life_->shutdown.get_token()}};
  const CollectTask task = MakeTask();
  std::future<absl::StatusOr<Collected>> collected =
      std::async(std::launch::async, [&] { return CollectStep(collector, config_, task); });
  life_->observer.WaitForActivity("waiting for a policy node: no policy node has registered");
  cluster_.RegisterAll(&empty);
  ExpectComplete(collected.get(), 32);
}

TEST_F(RolloutCollectorTest, AStopLetsLeasesInProgressFinishAndKeepsThem) {
  Gate gate;
  for (auto& policy : cluster_.policies) {
    policy->on_generate = [&](const GenerateCall&, std::stop_token stop) {
      return gate.Pass(stop);
    };
  }
  std::future<absl::StatusOr<Collected>> collected =
      std::async(std::launch::async, [&] { return Collect(); });
  gate.WaitForSomebody();
  life_->stop.request_stop();
  gate.Open();
  EXPECT_EQ(collected.get().status().code(), absl::StatusCode::kCancelled);
  const size_t kept = life_->ledger->Rollouts("run", 1)->size();
  EXPECT_GE(kept, 4u);
  EXPECT_LE(kept, 8u) << "two leases of four prompts were in progress";
}

TEST_F(RolloutCollectorTest, AShutdownGivesUpLeasesInProgress) {
  Gate never;
  for (auto& policy : cluster_.policies) {
    policy->on_generate = [&](const GenerateCall&, std::stop_token stop) {
      return never.Pass(stop);
    };
  }
  std::future<absl::StatusOr<Collected>> collected =
      std::async(std::launch::async, [&] { return Collect(); });
  never.WaitForSomebody();
  life_->shutdown.request_stop();
  EXPECT_EQ(collected.get().status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace mellow::orchestrator
