#include "services/orchestrator/nodes/self_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/services/orchestrator/fake_nodes.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

std::vector<Rollout> MakeRollouts() {
  std::vector<Rollout> rollouts(3);
  for (size_t i = 0; i < rollouts.size(); ++i) {
    rollouts[i].query_ids = {5, 1};
    rollouts[i].response_ids.assign(i + 2, 9);
    rollouts[i].logprobs = FakeLogProbs("", {5, 1}, rollouts[i].response_ids);
  }
  return rollouts;
}

// A learner that is right, but for `batch_error` when pairs are scored together and
// `reference_error` of the reference.
LearnerScorer MakeScorer(float batch_error = 0, float reference_error = 0) {
  return [=](const std::vector<TokenPair>& pairs, bool reference) -> absl::StatusOr<PairScores> {
    PairScores scores;
    for (const TokenPair& pair : pairs) {
      scores.logprobs.push_back(FakeLogProbs("", pair.source_ids, pair.target_ids));
      if (pairs.size() > 1) scores.logprobs.back()[0] += batch_error;
      if (reference) scores.logprobs.back()[0] += reference_error;
      if (!reference)
        scores.values.push_back(FakeValues("", "head", pair.source_ids, pair.target_ids));
    }
    return scores;
  };
}

TEST(SelfTestTest, PassesWhenSamplerLearnerAndReferenceAgree) {
  const auto figures =
      SelfTest(MakeRollouts(), /*reference_is_start=*/true, 1e-3, 1e-3, MakeScorer());
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_EQ(figures->sampler_gap, 0);
  EXPECT_TRUE(figures->reference_tested);
}

TEST(SelfTestTest, ASamplerWithAnotherModelIsToldWithTheFigure) {
  std::vector<Rollout> rollouts = MakeRollouts();
  rollouts[1].logprobs[0] += 0.5f;
  const auto figures = SelfTest(rollouts, true, 1e-3, 1e-3, MakeScorer());
  EXPECT_EQ(figures.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(figures.status().message()), HasSubstr("sampler"));
  EXPECT_THAT(std::string(figures.status().message()), HasSubstr("0.5"));
}

TEST(SelfTestTest, ALearnerWhoseResultDependsOnTheBatchFails) {
  // Small enough for the first comparison, which is of the batch too, with a rollout that was off
  // the other way.
  std::vector<Rollout> rollouts = MakeRollouts();
  for (Rollout& rollout : rollouts) rollout.logprobs[0] += 0.0015f;
  const auto figures = SelfTest(rollouts, true, 1e-3, 1e-3, MakeScorer(/*batch_error=*/0.002f));
  EXPECT_THAT(std::string(figures.status().message()), HasSubstr("batch mates"));
}

TEST(SelfTestTest, AReferenceThatIsNotTheStartFailsOnlyWhenItShouldBe) {
  const LearnerScorer scorer = MakeScorer(0, /*reference_error=*/0.01f);
  EXPECT_THAT(std::string(SelfTest(MakeRollouts(), true, 1e-3, 1e-3, scorer).status().message()),
              HasSubstr("reference"));
  EXPECT_TRUE(SelfTest(MakeRollouts(), /*reference_is_start=*/false, 1e-3, 1e-3, scorer).ok());
}

TEST(SelfTestTest, WhatTheNodesComputedForTheLearnerMustBeTheLearners) {
  std::vector<Rollout> rollouts = MakeRollouts();
  for (size_t i = 1; i < rollouts.size(); ++i) {  // the first has none
    rollouts[i].values = FakeValues("", "head", {5, 1}, rollouts[i].response_ids);
    rollouts[i].reference_logprobs = rollouts[i].logprobs;
  }
  const auto figures = SelfTest(rollouts, false, 1e-3, 1e-3, MakeScorer());
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_EQ(figures->value_gap, 0);
  EXPECT_EQ(figures->node_reference_gap, 0);
  EXPECT_FALSE(figures->reference_tested);
  const auto message = [](const std::vector<Rollout>& tested) {
    return std::string(SelfTest(tested, false, 1e-3, 1e-3, MakeScorer()).status().message());
  };
  std::vector<Rollout> wrong = rollouts;
  wrong[2].values[1] += 0.25f;
  EXPECT_THAT(message(wrong), HasSubstr("values differ by 0.25"));
  wrong = rollouts;
  wrong[1].reference_logprobs[0] += 0.5f;
  EXPECT_THAT(message(wrong), HasSubstr("learner's reference: log-probs differ by 0.5"));
  wrong = rollouts;
  wrong[1].values.pop_back();
  EXPECT_THAT(message(wrong), HasSubstr("self-test"));
}

TEST(SelfTestTest, AnErrorOfTheLearnerIsHandedOn) {
  const auto figures = SelfTest(MakeRollouts(), true, 1e-3, 1e-3,
                                [](const auto&, bool) -> absl::StatusOr<PairScores> {
                                  return absl::CancelledError("stopped");
                                });
  EXPECT_EQ(figures.status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace mellow::orchestrator
