#include "common/adapters/model_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/sha256.h"

namespace mellow::adapters {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kConfig[] =
    R"({"base_model_name_or_path": "google/flan-t5-base", "revision": "abc", "r": 4,
        "lora_alpha": 8, "target_modules": ["q", "v"], "rank_pattern": {}})";

TEST(ModelCardTest, HasTheHubsMetadataTheTrainingAndTheHashes) {
  const ModelCard card = {
      .method = "PPO",
      .facts = {{"data", "dialogsum.csv"}, {"started from", ""}},
      .settings_json = R"({"data": {"path": "/home/me/dialogsum.csv"}, "lr": 1})",
      .adapter_sha256 = "feed"};
  const std::string text = SerializeModelCard(card, kConfig, "tensors");
  EXPECT_THAT(text, StartsWith("---\nbase_model: google/flan-t5-base\n"
                               "base_model_relation: adapter\nlibrary_name: peft\n"));
  for (const std::string words :
       {"\n- base_model:adapter:google/flan-t5-base\n", "\n- ppo\n",
        "- base model: `google/flan-t5-base`, revision `abc`\n", "- r: `4`\n",
        "- target_modules: `[\"q\",\"v\"]`\n", "- method: PPO\n", "- data: `dialogsum.csv`\n",
        "\"path\": \"dialogsum.csv\"", "`feed`"})
    EXPECT_THAT(text, HasSubstr(words));
  EXPECT_THAT(text, HasSubstr(Sha256Hex("tensors")));
  EXPECT_THAT(text, Not(HasSubstr("/home/me")));
  EXPECT_THAT(text, Not(HasSubstr("started from")));
  EXPECT_THAT(text, Not(HasSubstr("rank_pattern")));
  EXPECT_EQ(text, SerializeModelCard(card, kConfig, "tensors"));
}

// The Hub refuses a folder as base_model.
TEST(ModelCardTest, AFolderIsNamedInTheTextOnly) {
  const std::string text =
      SerializeModelCard({}, R"({"base_model_name_or_path": "/models/base"})", "");
  EXPECT_THAT(text, Not(HasSubstr("\nbase_model:")));
  EXPECT_THAT(text, HasSubstr("- base model: `/models/base`\n"));
}

TEST(ModelCardTest, WhateverItIsGivenStaysOnItsLine) {
  const ModelCard card = {.method = "PPO", .facts = {{"data", "a`\n---\n# b|c"}}};
  EXPECT_THAT(SerializeModelCard(card, "not json", ""), HasSubstr("- data: `a' --- # b/c`\n"));
}

TEST(ModelCardTest, AnEvaluationReplacesTheOneBefore) {
  const std::string card = SerializeModelCard({}, kConfig, "tensors");
  EXPECT_EQ(WithEvaluation(card, {}), card);
  const std::string first =
      WithEvaluation(card, {"one", "aa", {{"toxicity", "-0.12 [-0.15, -0.09]", true}}, ""});
  EXPECT_THAT(first, StartsWith(card));
  EXPECT_THAT(first, HasSubstr("| `toxicity` | yes | `-0.12 [-0.15, -0.09]` |\n"));
  const CardEvaluation second = {"two", "bb", {{"rougeL", "-0.4", false}}, "forced"};
  EXPECT_EQ(WithEvaluation(first, second), WithEvaluation(card, second));
  EXPECT_THAT(WithEvaluation(card, second), HasSubstr("| `rougeL` | no | `-0.4` |\n"));
}

}  // namespace
}  // namespace mellow::adapters
