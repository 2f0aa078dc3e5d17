#include "services/orchestrator/rollouts/reward_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/text/load_tokenizer.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/source_tree.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

constexpr int32_t kStart = 'S' + 3;  // "S"

Rollout MakeRollout(const std::string& query, const std::string& response) {
  const FakeTokenizer tokenizer;
  return {.query_ids = *tokenizer.Encode(query, 0), .response_ids = *tokenizer.Encode(response, 0)};
}

TEST(RewardTextTest, FillsTheTemplateOnceAndLeavesBracesInTheTextsAlone) {
  RewardConfig config{.text_template = "<{query}|{response}|{other}>"};
  EXPECT_EQ(*RewardText(config, FakeTokenizer(), kStart, MakeRollout("say {response}", "ok"), 9),
            "<say {response}|ok|{other}>");
}

TEST(RewardTextTest, KeepsSpecialTokensWhenAskedTo) {
  RewardConfig config;
  const auto text = [&](Rollout rollout, std::optional<int> limit) {
    return *RewardText(config, FakeTokenizer(), kStart, rollout, limit);
  };
  EXPECT_EQ(text(MakeRollout("q", "r"), 9), "q r");
  config.keep_special_tokens = true;
  config.text_template = "{query}{response}";
  EXPECT_EQ(text(MakeRollout("q", "r"), 9), "q</s>Sr</s>");
  EXPECT_EQ(text(MakeRollout("q", "r"), 3), "q</s>Sr</s>");
  // The last ids of the output, as many as the limit: the start token is not among them.
  EXPECT_EQ(text(MakeRollout("q", "r"), 2), "q</s>r</s>");
  Rollout rollout = MakeRollout("q", "r");
  EXPECT_EQ(text(rollout, std::nullopt), "q</s>r</s>");
  rollout.finished = true;
  EXPECT_EQ(text(rollout, std::nullopt), "q</s>Sr</s>");
}

// What AutoTokenizer of FLAN-T5 decodes (transformers 4.45.2).
TEST(RewardTextTest, IsTheNotebooksTextOfRealTokens) {
  const auto tokenizer = text::LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const RewardConfig config{.text_template = "{query}{response}", .keep_special_tokens = true};
  Rollout rollout;
  rollout.query_ids = *(*tokenizer)->Encode("Summary: a parcel");
  rollout.response_ids = *(*tokenizer)->Encode("Person1 looks.");
  EXPECT_EQ(*RewardText(config, **tokenizer, 0, rollout, 100),
            "Summary: a parcel</s><pad> Person1 looks.</s>");
  const int size = static_cast<int>(rollout.response_ids.size());
  EXPECT_EQ(*RewardText(config, **tokenizer, 0, rollout, size),
            "Summary: a parcel</s>Person1 looks.</s>");
}

TEST(RewardTextTest, PicksTheLogitOfTheLabelAndTheProbabilityOfTheToxicOne) {
  const ScoreAnswer answer{{{{1.5f, -2.0f}, {0.9f, 0.1f}, 0.4f}}, {"nothate", "hate"}};
  RewardConfig config;
  auto scores = PickScores(config, answer, 1, "reward");
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_EQ((*scores)[0].score, 1.5f);
  EXPECT_EQ((*scores)[0].toxicity, 0.4f) << "the node's own";
  config.toxic_label = "hate";
  config.label = "hate";
  scores = PickScores(config, answer, 1, "reward");
  EXPECT_EQ((*scores)[0].score, -2.0f);
  EXPECT_EQ((*scores)[0].toxicity, 0.1f);
}

TEST(RewardTextTest, AnUnknownLabelIsNamedWithThoseThatThereAre) {
  const ScoreAnswer answer{{{{1, 2}, {0, 1}, 1}}, {"nothate", "hate"}};
  RewardConfig config;
  config.label = "kind";
  const auto scores = PickScores(config, answer, 1, "reward");
  EXPECT_EQ(scores.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(scores.status().message()),
              HasSubstr("reward.label: kind: the reward node has nothate, hate"));
}

TEST(RewardTextTest, AnAnswerThatDoesNotFitIsAnError) {
  ScoreAnswer answer{{{{1, 2}, {0, 1}, 1}}, {"nothate", "hate"}};
  EXPECT_FALSE(PickScores({}, answer, 2, "reward").ok());
  answer.scores[0].logits = {1};
  EXPECT_FALSE(PickScores({}, answer, 1, "reward").ok());
  answer.scores[0].logits = {std::numeric_limits<float>::quiet_NaN(), 0};
  EXPECT_FALSE(PickScores({}, answer, 1, "reward").ok());
}

}  // namespace
}  // namespace mellow::orchestrator
