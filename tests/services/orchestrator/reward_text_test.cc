#include "services/orchestrator/reward_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/services/orchestrator/orchestrator_fixture.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

Rollout MakeRollout(const std::string& query, const std::string& response) {
  const FakeTokenizer tokenizer;
  return {.query_ids = *tokenizer.Encode(query, 0), .response_ids = *tokenizer.Encode(response, 0)};
}

TEST(RewardTextTest, FillsTheTemplateOnceAndLeavesBracesInTheTextsAlone) {
  RewardConfig config{.text_template = "<{query}|{response}|{other}>"};
  EXPECT_EQ(*RewardText(config, FakeTokenizer(), MakeRollout("say {response}", "ok")),
            "<say {response}|ok|{other}>");
}

TEST(RewardTextTest, KeepsSpecialTokensWhenAskedTo) {
  RewardConfig config;
  EXPECT_EQ(*RewardText(config, FakeTokenizer(), MakeRollout("q", "r")), "q r");
  config.keep_special_tokens = true;
  EXPECT_EQ(*RewardText(config, FakeTokenizer(), MakeRollout("q", "r")), "q</s> r</s>");
}

TEST(RewardTextTest, PicksTheLogitOfTheLabelAndTheProbabilityOfTheToxicOne) {
  const ScoreAnswer answer{{{{1.5f, -2.0f}, {0.9f, 0.1f}, 0.4f}}, {"nothate", "hate"}};
  RewardConfig config;
  auto scores = PickScores(config, answer, 1);
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_EQ((*scores)[0].score, 1.5f);
  EXPECT_EQ((*scores)[0].toxicity, 0.4f) << "the node's own";
  config.toxic_label = "hate";
  config.label = "hate";
  scores = PickScores(config, answer, 1);
  EXPECT_EQ((*scores)[0].score, -2.0f);
  EXPECT_EQ((*scores)[0].toxicity, 0.1f);
}

TEST(RewardTextTest, AnUnknownLabelIsNamedWithThoseThatThereAre) {
  const ScoreAnswer answer{{{{1, 2}, {0, 1}, 1}}, {"nothate", "hate"}};
  RewardConfig config;
  config.label = "kind";
  const auto scores = PickScores(config, answer, 1);
  EXPECT_EQ(scores.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(scores.status().message()),
              HasSubstr("reward.label: kind: the reward node has nothate, hate"));
}

TEST(RewardTextTest, AnAnswerThatDoesNotFitIsAnError) {
  ScoreAnswer answer{{{{1, 2}, {0, 1}, 1}}, {"nothate", "hate"}};
  EXPECT_FALSE(PickScores({}, answer, 2).ok());
  answer.scores[0].logits = {1};
  EXPECT_FALSE(PickScores({}, answer, 1).ok());
  answer.scores[0].logits = {std::numeric_limits<float>::quiet_NaN(), 0};
  EXPECT_FALSE(PickScores({}, answer, 1).ok());
}

}  // namespace
}  // namespace mellow::orchestrator
