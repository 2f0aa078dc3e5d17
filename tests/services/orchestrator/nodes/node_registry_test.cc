#include "services/orchestrator/nodes/node_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/steady_time.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

const SteadyTime kStart = SteadyTime(absl::Seconds(1000));
constexpr absl::Duration kLostAfter = absl::Seconds(6);

NodeReport MakeReport(const std::string& id, NodeRole role, const std::string& incarnation = "1") {
  NodeReport report{.node_id = id, .role = role, .address = id + ":1", .incarnation = incarnation};
  report.capacity.tokens_per_second = 50;
  return report;
}

void Register(NodeRegistry* registry, const NodeReport& report, SteadyTime now = kStart) {
  ASSERT_TRUE(registry->Register(report, now).ok());
}

NodeState StateOf(const NodeRegistry& registry, const std::string& id) {
  for (const NodeStatus& node : registry.List()) {
    if (node.report.node_id == id) return node.state;
  }
  ADD_FAILURE() << id << " is not listed";
  return NodeState::kLost;
}

TEST(NodeRegistryTest, TwoProcessesOfOneIdNeverAlternate) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("p", NodeRole::kPolicy, "old"));
  const NodeHandle old = registry.Ready(NodeRole::kPolicy, kStart).at(0);
  NodeReport second = MakeReport("p", NodeRole::kPolicy, "new");
  second.address = "elsewhere:2";
  Register(&registry, second);
  EXPECT_TRUE(old.life.stop_requested());
  for (int heartbeat = 0; heartbeat < 3; ++heartbeat) {
    const absl::Status refused =
        registry.Register(MakeReport("p", NodeRole::kPolicy, "old"), kStart);
    EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
    EXPECT_THAT(refused.message(), HasSubstr("elsewhere:2"));
    Register(&registry, second);
    EXPECT_EQ(registry.Ready(NodeRole::kPolicy, kStart).at(0).incarnation, "new");
  }
  // The one that is still there may work again when the other is gone.
  registry.Sweep(kStart + kLostAfter);
  Register(&registry, MakeReport("p", NodeRole::kPolicy, "old"), kStart + kLostAfter);
  EXPECT_EQ(registry.Ready(NodeRole::kPolicy, kStart + kLostAfter).at(0).incarnation, "old");
}

TEST(NodeRegistryTest, ASecondLearnerIsRefusedWhileTheFirstLives) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("learner-1", NodeRole::kLearner));
  const absl::Status refused =
      registry.Register(MakeReport("learner-0", NodeRole::kLearner), kStart);
  EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("learner-1 at learner-1:1"));
  registry.Sweep(kStart + kLostAfter);
  Register(&registry, MakeReport("learner-0", NodeRole::kLearner), kStart + kLostAfter);
  EXPECT_TRUE(absl::IsAlreadyExists(
      registry.Register(MakeReport("learner-1", NodeRole::kLearner), kStart + kLostAfter)));
}

TEST(NodeRegistryTest, ALearnerWorkerHasToHaveTheLearnersModel) {
  NodeRegistry registry(kLostAfter);
  for (const std::string name : {"right", "wrong"}) {
    NodeReport report = MakeReport(name, NodeRole::kLearnerWorker);
    report.capacity.model_sha256 = name;
    report.capacity.precision = "float32";
    Register(&registry, report);
  }
  EXPECT_EQ(registry.Ready(NodeRole::kLearnerWorker, kStart).size(), 2u) << "no run has begun";
  EXPECT_TRUE(registry.Ready(NodeRole::kLearner, kStart).empty());
  registry.SetPins({{NodeRole::kLearner, {"right", "float32"}}});
  const std::vector<NodeHandle> ready = registry.Ready(NodeRole::kLearnerWorker, kStart);
  ASSERT_EQ(ready.size(), 1u);
  EXPECT_EQ(ready[0].node_id, "right");
  EXPECT_EQ(StateOf(registry, "wrong"), NodeState::kQuarantined);
  for (const NodeStatus& node : registry.List()) {
    if (node.report.node_id != "wrong") continue;
    EXPECT_THAT(node.reason, HasSubstr("the run pins right"));
  }
}

TEST(NodeRegistryTest, ASilentNodeIsLostAndItsCallsAreGivenUp) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("r", NodeRole::kReward));
  const NodeHandle node = registry.Ready(NodeRole::kReward, kStart).at(0);
  EXPECT_EQ(registry.Sweep(kStart + absl::Seconds(5)), kStart + kLostAfter);
  EXPECT_FALSE(node.life.stop_requested());
  registry.Sweep(kStart + kLostAfter);
  EXPECT_TRUE(node.life.stop_requested());
  EXPECT_EQ(StateOf(registry, "r"), NodeState::kLost);
  EXPECT_TRUE(registry.Ready(NodeRole::kReward, kStart + kLostAfter).empty());
  EXPECT_THAT(registry.WhyNoneReady(NodeRole::kReward), HasSubstr("r at r:1 is lost"));
}

TEST(NodeRegistryTest, ALostNodeThatSpeaksAgainIsReadyWithANewLife) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("r", NodeRole::kReward));
  registry.Sweep(kStart + kLostAfter);
  Register(&registry, MakeReport("r", NodeRole::kReward), kStart + kLostAfter);
  const auto ready = registry.Ready(NodeRole::kReward, kStart + kLostAfter);
  ASSERT_EQ(ready.size(), 1u);
  EXPECT_FALSE(ready[0].life.stop_requested());
}

TEST(NodeRegistryTest, ANodeWithAStuckEngineGetsNoWorkUntilItGetsOn) {
  NodeRegistry registry(kLostAfter);
  NodeReport report = MakeReport("r", NodeRole::kReward);
  Register(&registry, report);
  report.stalled_seconds = 42;
  int changes = 0;
  const NodeRegistry::Subscription subscription(&registry, [&] { ++changes; });
  Register(&registry, report);
  EXPECT_EQ(StateOf(registry, "r"), NodeState::kQuarantined);
  EXPECT_TRUE(registry.Ready(NodeRole::kReward, kStart).empty());
  EXPECT_THAT(registry.WhyNoneReady(NodeRole::kReward),
              HasSubstr("its engine has made no progress for 42 s"));
  EXPECT_EQ(changes, 1);
  Register(&registry, report);
  EXPECT_EQ(changes, 1) << "nothing new";
  report.stalled_seconds = 0;
  Register(&registry, report);
  EXPECT_EQ(StateOf(registry, "r"), NodeState::kReady);
  EXPECT_EQ(changes, 2);
}

TEST(NodeRegistryTest, ARestartIsSeenWithoutAMissedHeartbeat) {
  NodeRegistry registry(kLostAfter);
  registry.RequireVerification(NodeRole::kPolicy, "waits for adapter 1");
  Register(&registry, MakeReport("p", NodeRole::kPolicy));
  const NodeHandle before = registry.ClaimUnverified(kStart).at(0);
  registry.MarkVerified(before);
  EXPECT_EQ(StateOf(registry, "p"), NodeState::kReady);
  Register(&registry, MakeReport("p", NodeRole::kPolicy, "2"));
  EXPECT_TRUE(before.life.stop_requested());
  EXPECT_EQ(StateOf(registry, "p"), NodeState::kQuarantined);
  registry.MarkVerified(before);
  EXPECT_EQ(StateOf(registry, "p"), NodeState::kQuarantined) << "that was the old process";
  EXPECT_EQ(registry.ClaimUnverified(kStart).size(), 1u);
}

TEST(NodeRegistryTest, VerificationIsClaimedOnceAndAnOutdatedOneDoesNotCount) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("p", NodeRole::kPolicy));
  EXPECT_EQ(StateOf(registry, "p"), NodeState::kReady) << "nothing to verify before the first run";
  registry.RequireVerification(NodeRole::kPolicy, "waits for adapter 1");
  EXPECT_EQ(registry.Untried(), 1);
  const auto first = registry.ClaimUnverified(kStart);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_TRUE(registry.ClaimUnverified(kStart).empty());
  registry.RequireVerification(NodeRole::kPolicy, "waits for adapter 2");
  registry.MarkVerified(first[0]);
  EXPECT_EQ(StateOf(registry, "p"), NodeState::kQuarantined);
  const auto second = registry.ClaimUnverified(kStart);
  ASSERT_EQ(second.size(), 1u);
  registry.MarkVerified(second[0]);
  EXPECT_EQ(StateOf(registry, "p"), NodeState::kReady);
  EXPECT_EQ(registry.Untried(), 0);
}

TEST(NodeRegistryTest, AQuarantinedNodeIsTriedAgainWhenItsTimeComes) {
  NodeRegistry registry(kLostAfter);
  registry.RequireVerification(NodeRole::kPolicy, "waits");
  Register(&registry, MakeReport("p", NodeRole::kPolicy));
  const NodeHandle node = registry.ClaimUnverified(kStart).at(0);
  registry.Quarantine(node, "canary: differs by 1", /*mismatch=*/true, kStart + absl::Seconds(2));
  EXPECT_EQ(registry.Untried(), 0);
  EXPECT_THAT(registry.AllMismatch(), HasSubstr("p: canary: differs by 1"));
  EXPECT_EQ(registry.List().at(0).reason, "canary: differs by 1");
  EXPECT_TRUE(registry.ClaimUnverified(kStart).empty());
  EXPECT_EQ(registry.NextVerification(), kStart + absl::Seconds(2));
  EXPECT_EQ(registry.ClaimUnverified(kStart + absl::Seconds(2)).size(), 1u);
  Register(&registry, MakeReport("q", NodeRole::kPolicy));
  EXPECT_EQ(registry.AllMismatch(), "") << "the other one was not tried";
}

TEST(NodeRegistryTest, AFailingNodeRestsLongerEachTime) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("r", NodeRole::kReward));
  const NodeHandle node = registry.Ready(NodeRole::kReward, kStart).at(0);
  registry.ReportFailure(node, kStart, /*lease=*/true);
  EXPECT_TRUE(registry.Ready(NodeRole::kReward, kStart).empty());
  EXPECT_EQ(registry.NextRetry(NodeRole::kReward, kStart), kStart + absl::Milliseconds(100));
  registry.ReportFailure(node, kStart, /*lease=*/true);
  EXPECT_EQ(registry.NextRetry(NodeRole::kReward, kStart), kStart + absl::Milliseconds(200));
  for (int i = 0; i < 20; ++i) registry.ReportFailure(node, kStart, /*lease=*/false);
  EXPECT_EQ(registry.NextRetry(NodeRole::kReward, kStart), kStart + absl::Seconds(5));
  registry.ReportSuccess("r");
  registry.ReportFailure(node, kStart, /*lease=*/false);
  EXPECT_EQ(registry.NextRetry(NodeRole::kReward, kStart), kStart + absl::Milliseconds(100));
  EXPECT_EQ(registry.List().at(0).leases_lost, 2);
}

TEST(NodeRegistryTest, SpeedIsMeasuredByLeasesAndFollowsChanges) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("p", NodeRole::kPolicy));
  const auto speed = [&] { return registry.Ready(NodeRole::kPolicy, kStart).at(0).speed; };
  EXPECT_EQ(speed(), 50) << "what the node says";
  registry.ReportLease("p", 200, absl::Seconds(1));
  EXPECT_EQ(speed(), 200);
  registry.ReportLease("p", 100, absl::Seconds(1));
  EXPECT_EQ(speed(), 150);
}

TEST(NodeRegistryTest, ListenersAreToldOfChangesOnly) {
  NodeRegistry registry(kLostAfter);
  int changes = 0;
  {
    const NodeRegistry::Subscription subscription(&registry, [&] { ++changes; });
    Register(&registry, MakeReport("r", NodeRole::kReward));
    EXPECT_EQ(changes, 1);
    Register(&registry, MakeReport("r", NodeRole::kReward));
    EXPECT_EQ(changes, 1) << "a heartbeat";
    registry.Sweep(kStart + kLostAfter);
    EXPECT_EQ(changes, 2);
  }
  Register(&registry, MakeReport("s", NodeRole::kReward));
  EXPECT_EQ(changes, 2) << "the subscription has ended";
}

TEST(NodeRegistryTest, ANodeThatLeavesIsForgottenAndMayFinishItsCalls) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("r", NodeRole::kReward, "old"));
  const NodeHandle node = registry.Ready(NodeRole::kReward, kStart).at(0);
  registry.Leave("r", "another process");
  EXPECT_EQ(StateOf(registry, "r"), NodeState::kReady);
  registry.Leave("r", "old");
  EXPECT_TRUE(registry.List().empty());
  registry.Sweep(kStart + kLostAfter);
  EXPECT_FALSE(node.life.stop_requested());
  registry.ReportSuccess("r");
  registry.ReportFailure(node, kStart, /*lease=*/true);
  registry.Leave("r", "old");
  EXPECT_TRUE(registry.List().empty());
}

TEST(NodeRegistryTest, ForgetsNodesThatAreLostForLong) {
  NodeRegistry registry(kLostAfter);
  Register(&registry, MakeReport("r", NodeRole::kReward));
  registry.Sweep(kStart + kLostAfter);
  registry.Sweep(kStart + absl::Hours(2));
  EXPECT_TRUE(registry.List().empty());
}

}  // namespace
}  // namespace mellow::orchestrator
