#include "services/orchestrator/rollouts/judge_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "common/stats/mean.h"
#include "tests/services/orchestrator/gate.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(JudgedPositionsTest, AreAnEvenShareAndAtLeastOne) {
  EXPECT_THAT(JudgedPositions(8, 0.5), ElementsAre(0, 2, 4, 6));
  EXPECT_THAT(JudgedPositions(8, 0.01), ElementsAre(0));
  EXPECT_THAT(JudgedPositions(3, 1), ElementsAre(0, 1, 2));
  EXPECT_THAT(JudgedPositions(7, 0.4), ElementsAre(0, 2, 4));
}

// A step of 32 rollouts, half of which the judges of the cluster score, 4 at a time.
class JudgeStepTest : public ::testing::Test {
 protected:
  JudgeStepTest() {
    config_.batch_size = 32;
    config_.lease = absl::Hours(1);
    config_.guard.emplace().judge = JudgeConfig{.share = 0.5};
    for (auto& node : cluster_.rewards) node->role = NodeRole::kJudge;
    for (int i = 0; i < config_.batch_size; ++i) {
      prompts_.push_back({.prompt_index = static_cast<uint64_t>(i), .ids = {10 + i, 1}});
      rollouts_.push_back({.prompt_index = static_cast<uint64_t>(i),
                           .query_ids = prompts_.back().ids,
                           .response_ids = {60 + i, 1}});
    }
    life_ = std::make_unique<Life>(&cluster_, folder_.path());
  }
  // As after some leases, and a canary that was passed.
  void MeasureAndVerify() {
    for (const NodeHandle& node : life_->registry.Ready(NodeRole::kJudge, SteadyTime::Now()))
      life_->registry.ReportLease(node.node_id, 1000, absl::Seconds(1));
    life_->registry.RequireVerification(NodeRole::kJudge, "waits for the canary");
    for (const NodeHandle& node : life_->registry.ClaimUnverified(SteadyTime::Now()))
      life_->registry.MarkVerified(node);
  }
  absl::StatusOr<JudgeFigures> Judge() {
    const DriverParts parts = life_->Parts();
    const CollectorParts collector{parts.ledger,
                                   parts.registry,
                                   parts.clients,
                                   parts.metrics,
                                   parts.tokenizer,
                                   &life_->observer,
                                   {life_->stop.get_token(), life_->shutdown.get_token()}};
    return JudgeStep(collector, config_, 1, prompts_, rollouts_);
  }
  // What a judge that nothing happens to says.
  JudgeFigures Expected() {
    std::vector<std::string> texts;
    for (size_t i = 0; i < rollouts_.size(); i += 2) {
      const FakeTokenizer tokenizer;
      texts.push_back(absl::StrCat(*tokenizer.Decode(prompts_[i].ids, true), " ",
                                   *tokenizer.Decode(rollouts_[i].response_ids, true)));
    }
    FakeReward undisturbed("judge");
    std::vector<double> logits;
    const ScoreAnswer answer = *undisturbed.Score(texts, {});
    for (const TextScore& score : answer.scores) logits.push_back(score.logits[0]);
    const stats::MeanSd scores = stats::MeanAndSd(logits);
    return {.score_mean = scores.mean, .score_sd = scores.sd};
  }
  void ExpectJudged(const absl::StatusOr<JudgeFigures>& judged) {
    ASSERT_TRUE(judged.ok()) << judged.status();
    const JudgeFigures expected = Expected();
    EXPECT_EQ(judged->score_mean, expected.score_mean);
    EXPECT_EQ(judged->score_sd, expected.score_sd);
  }

  testing::TempFolder folder_;
  FakeCluster cluster_{1, 2};
  RunConfig config_ = MakeRunConfig(/*steps=*/1);
  std::vector<Prompt> prompts_;
  std::vector<Rollout> rollouts_;
  std::unique_ptr<Life> life_;
};

TEST_F(JudgeStepTest, EveryJudgedTextIsScoredOnce) {
  ExpectJudged(Judge());
  EXPECT_EQ(cluster_.rewards[0]->scored + cluster_.rewards[1]->scored, 16);
}

TEST_F(JudgeStepTest, AHungJudgeIsLeftBehindByItsOwnPast) {
  MeasureAndVerify();
  Gate never;
  cluster_.rewards[0]->on_score = [&](const std::vector<std::string>&, std::stop_token stop) {
    return never.Pass(stop);
  };
  ExpectJudged(Judge());
  EXPECT_EQ(cluster_.rewards[1]->scored, 16);
}

TEST_F(JudgeStepTest, WhatOneJudgeCannotDoAnotherDoes) {
  cluster_.rewards[0]->on_score = [](const std::vector<std::string>&, std::stop_token) {
    return absl::InvalidArgumentError("texts: 4: at most 2");
  };
  ExpectJudged(Judge());
  EXPECT_EQ(cluster_.rewards[1]->scored, 16);
}

TEST_F(JudgeStepTest, WhatNoJudgeCanDoEndsTheRunWithTheLabelsThatThereAre) {
  config_.guard->judge->label = "kind";
  const auto judged = Judge();
  EXPECT_EQ(judged.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(judged.status().message()),
              HasSubstr("guard.judge.label: kind: the reward node has nothate, hate"));
}

TEST_F(JudgeStepTest, ARunThatIsAskedToEndDoesNotWaitForAHungJudge) {
  Gate never;
  for (auto& node : cluster_.rewards) {
    node->on_score = [&](const std::vector<std::string>&, std::stop_token stop) {
      return never.Pass(stop);
    };
  }
  auto judged = std::async(std::launch::async, [&] { return Judge(); });
  never.WaitForSomebody();
  life_->stop.request_stop();
  EXPECT_EQ(judged.get().status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace mellow::orchestrator
