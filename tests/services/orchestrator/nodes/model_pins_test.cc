#include "services/orchestrator/nodes/model_pins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <future>

#include "absl/strings/match.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/wait_until.h"

namespace mellow::orchestrator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ScoreCanaryTest, AnswersOfOtherWeightsLabelsOrLengthsAreRefusedWithTheFigures) {
  FakeReward node("reward-0");
  const ScoreAnswer right = *node.Score(CanaryTexts(), {});
  RunPins pins;
  ScoreCanary& canary = pins.canaries[NodeRole::kReward];
  canary.labels = right.labels;
  for (const TextScore& score : right.scores) canary.logits.push_back(score.logits);
  EXPECT_TRUE(CheckScoreCanary(NodeRole::kReward, pins, right).ok());

  ScoreAnswer rounded = right;
  rounded.scores[1].logits[0] += 1e-3f;
  EXPECT_TRUE(CheckScoreCanary(NodeRole::kReward, pins, rounded).ok()) << "as another device would";
  ScoreAnswer other = right;
  other.scores[1].logits[0] += 0.5f;
  EXPECT_THAT(std::string(CheckScoreCanary(NodeRole::kReward, pins, other).message()),
              AllOf(HasSubstr("logit differs by 0.5"), HasSubstr("text 1, label nothate")));
  other.scores[1].logits[0] = std::nanf("");
  EXPECT_FALSE(CheckScoreCanary(NodeRole::kReward, pins, other).ok());
  ScoreAnswer swapped = right;
  std::swap(swapped.labels[0], swapped.labels[1]);
  EXPECT_THAT(std::string(CheckScoreCanary(NodeRole::kReward, pins, swapped).message()),
              HasSubstr("has labels hate, nothate, the run pins nothate, hate"));
  ScoreAnswer shorter = right;
  shorter.scores.pop_back();
  EXPECT_EQ(CheckScoreCanary(NodeRole::kReward, pins, shorter).code(),
            absl::StatusCode::kFailedPrecondition);
}

class ModelPinsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::TempFolder folder;
    FakeCluster cluster(1, 1);
    Life life(&cluster, folder.path());
    ASSERT_TRUE(life.Drive("run", config_).ok());
    undisturbed_ = HashesOf(life.ledger.get(), "run");
  }
  static NodeStatus StatusOf(const NodeRegistry& registry, const std::string& node_id) {
    for (const NodeStatus& node : registry.List()) {
      if (node.report.node_id == node_id) return node;
    }
    return {};
  }
  // Registers all nodes of the cluster when the first rollouts are asked for, and goes on when
  // `node_id` is quarantined for a reason that contains `reason`.
  void JoinAtFirstRollouts(Life* life, const std::string& node_id, const std::string& reason) {
    cluster_.policies[0]->on_generate = [=, this](const GenerateCall&, std::stop_token) {
      cluster_.RegisterAll(&life->registry);
      EXPECT_TRUE(testing::WaitUntil([&] {
        const NodeStatus node = StatusOf(life->registry, node_id);
        return node.state == NodeState::kQuarantined && absl::StrContains(node.reason, reason);
      })) << StatusOf(life->registry, node_id).reason;
      return absl::OkStatus();
    };
  }

  const RunConfig config_ = MakeRunConfig(3);
  std::vector<std::string> undisturbed_;
  testing::TempFolder folder_;
  FakeCluster cluster_{1, 1};
};

TEST_F(ModelPinsTest, ARewardNodeWithNegatedWeightsFailsTheCanaryAndScoresNothing) {
  Life life(&cluster_, folder_.path());
  cluster_.rewards.push_back(std::make_unique<FakeReward>("reward-1"));
  cluster_.rewards[1]->negated = true;
  JoinAtFirstRollouts(&life, "reward-1", "reward canary: logit differs by");
  ASSERT_TRUE(life.Drive("run", config_).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), undisturbed_);
  EXPECT_EQ(cluster_.rewards[1]->scored, 0);
  EXPECT_THAT(life.registry_of_metrics.Text(),
              HasSubstr("mellow_orchestrator_canary_failures_total{node=\"reward-1\"}"));
}

TEST_F(ModelPinsTest, AJudgeWithNegatedWeightsFailsTheCanaryAndScoresNothing) {
  RunConfig config = config_;
  config.guard = GuardConfig{.kl_max = 0,
                             .min_response_tokens = 0,
                             .max_repetition = 0,
                             .score_drop = 0,
                             .judge_gap = 0,
                             .judge = JudgeConfig{}};
  cluster_.rewards.push_back(std::make_unique<FakeReward>("reward-1"));
  cluster_.rewards[1]->role = NodeRole::kJudge;
  Life life(&cluster_, folder_.path());
  cluster_.rewards.push_back(std::make_unique<FakeReward>("reward-2"));
  cluster_.rewards[2]->role = NodeRole::kJudge;
  cluster_.rewards[2]->negated = true;
  JoinAtFirstRollouts(&life, "reward-2", "judge canary: logit differs by");
  ASSERT_TRUE(life.Drive("run", config).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), undisturbed_);
  EXPECT_EQ(cluster_.rewards[2]->scored, 0);
  EXPECT_EQ(cluster_.rewards[1]->scored, 3 * 2);
  EXPECT_THAT(life.ledger->Pins("run")->canaries.at(NodeRole::kJudge).labels,
              ::testing::ElementsAre("nothate", "hate"));
}

TEST_F(ModelPinsTest, TheToxicLabelOfTheFirstRewardIsThatOfTheRun) {
  cluster_.rewards.push_back(std::make_unique<FakeReward>("reward-1"));
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config_).ok());
  EXPECT_EQ(life.ledger->Pins("run")->toxic_label, "hate");
  // Both have another one from now on; the run goes on with its own.
  for (auto& reward : cluster_.rewards) reward->toxic_label = "nothate";
  cluster_.RegisterAll(&life.registry);
  RunConfig longer = config_;
  longer.steps = 4;
  ASSERT_TRUE(life.Drive("run", longer).ok());
  const std::vector<Rollout> rollouts = *life.ledger->Rollouts("run", 4);
  ASSERT_FALSE(rollouts.empty());
  for (const Rollout& rollout : rollouts)
    EXPECT_NEAR(rollout.score->toxicity, 1 - rollout.score->score, 1e-6) << "of hate";
}

TEST_F(ModelPinsTest, ARunOnTwoKindsOfDevicesSaysThatItIsNotRepeatable) {
  {
    Life life(&cluster_, folder_.path());
    RunConfig shorter = config_;
    shorter.steps = 1;
    ASSERT_TRUE(life.Drive("run", shorter).ok());
    EXPECT_EQ(NotRepeatable(*life.ledger->Pins("run")), "");
  }
  cluster_.policies[0]->device = "cuda:1";
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config_).ok());
  EXPECT_EQ(NotRepeatable(*life.ledger->Pins("run")), "policy nodes on cpu and cuda");
}

TEST_F(ModelPinsTest, ARewardNodeWithAnotherHashScoresNothing) {
  Life life(&cluster_, folder_.path());
  cluster_.rewards.push_back(std::make_unique<FakeReward>("reward-1"));
  cluster_.rewards[1]->model.sha256 = "0123456789abcdef";
  JoinAtFirstRollouts(&life, "reward-1",
                      "its model is 0123456789ab (float32), the run pins classifier (float32)");
  ASSERT_TRUE(life.Drive("run", config_).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), undisturbed_);
  EXPECT_EQ(cluster_.rewards[1]->scored, 0);
  EXPECT_TRUE(testing::WaitUntil([&] {
    return absl::StrContains(life.registry_of_metrics.Text(),
                             "mellow_orchestrator_node_has_other_model{node=\"reward-1\"} 1\n");
  }));
}

TEST_F(ModelPinsTest, APolicyNodeWithAnotherPrecisionSamplesNothing) {
  Life life(&cluster_, folder_.path());
  cluster_.policies.push_back(std::make_unique<FakePolicy>("policy-1"));
  cluster_.policies[1]->model.precision = "int8";
  JoinAtFirstRollouts(&life, "policy-1", "its model is base (int8), the run pins base (float32)");
  ASSERT_TRUE(life.Drive("run", config_).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), undisturbed_);
  EXPECT_EQ(cluster_.policies[1]->generated, 0);
}

TEST_F(ModelPinsTest, OfDifferentPoliciesTheOneWithTheLearnersModelIsTheRightOne) {
  cluster_.policies.push_back(std::make_unique<FakePolicy>("policy-1"));
  cluster_.policies[0]->model.sha256 = "other";
  Life life(&cluster_, folder_.path());
  ASSERT_TRUE(life.Drive("run", config_).ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), undisturbed_);
  EXPECT_EQ(cluster_.policies[0]->generated, 0);
}

TEST_F(ModelPinsTest, NodesThatDifferBeforeTheRunBeginsAreRefusedByName) {
  cluster_.policies.push_back(std::make_unique<FakePolicy>("policy-1"));
  cluster_.policies[0]->model.sha256 = "base, as other files";
  cluster_.policies[1]->model.sha256 = "other";
  Life life(&cluster_, folder_.path());
  const absl::Status status = life.Drive("run", config_);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the policy nodes have different models: policy-0 has base, as oth "
                        "(float32), policy-1 has other (float32)"));
}

TEST_F(ModelPinsTest, ARestartWithOtherWeightsIsNoticedAndTheRightOnesGoOnToTheSameHash) {
  {
    Life life(&cluster_, folder_.path());
    cluster_.learner.on_train = [&](const TrainCall& call) {
      if (call.step == 2) life.shutdown.request_stop();
    };
    EXPECT_EQ(life.Drive("run", config_).code(), absl::StatusCode::kCancelled);
    cluster_.learner.on_train = nullptr;
  }
  const ModelPin right = std::exchange(cluster_.rewards[0]->model, {"another", "float32"});
  Life life(&cluster_, folder_.path());
  EXPECT_EQ(life.ledger->Pins("run")->models.at(NodeRole::kReward), right);
  std::future<absl::Status> status =
      std::async(std::launch::async, [&] { return life.Drive("run", config_); });
  life.observer.WaitForActivity(
      "waiting for a reward node: reward-0 at reward-0 is quarantined: its model is another "
      "(float32), the run pins classifier (float32)");
  cluster_.rewards[0]->model = right;
  cluster_.RegisterAll(&life.registry);
  EXPECT_TRUE(status.get().ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), undisturbed_);
}

TEST_F(ModelPinsTest, ALearnerWithOtherWeightsIsWaitedOut) {
  {
    Life life(&cluster_, folder_.path());
    life.stop.request_stop();
    EXPECT_FALSE(life.Drive("run", config_).ok());
    ASSERT_TRUE(
        life.ledger->SetPins("run", {.models = {{NodeRole::kLearner, {"base", "float32"}}}}).ok());
  }
  cluster_.learner.model.sha256 = "another";
  Life life(&cluster_, folder_.path());
  std::future<absl::Status> status =
      std::async(std::launch::async, [&] { return life.Drive("run", config_); });
  life.observer.WaitForActivity("its model is another (float32), the run pins base (float32)");
  cluster_.learner.model.sha256 = "base";
  cluster_.RegisterAll(&life.registry);
  EXPECT_TRUE(status.get().ok());
  EXPECT_EQ(HashesOf(life.ledger.get(), "run"), undisturbed_);
}

}  // namespace
}  // namespace mellow::orchestrator
