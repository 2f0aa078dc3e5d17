#include "common/rl/ppo_config.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(absl::string_view json) {
  const absl::StatusOr<PpoConfig> config = ParsePpoConfig(json);
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << json;
  return std::string(config.status().message());
}

TEST(ParsePpoConfigTest, EmptyObjectGivesTrlsDefaults) {
  const absl::StatusOr<PpoConfig> c = ParsePpoConfig("{}");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->learning_rate, 1.41e-5);
  EXPECT_EQ(c->init_kl_coef, 0.2);
  EXPECT_EQ(c->batch_size, 128);
  EXPECT_EQ(c->ppo_epochs, 4);
  EXPECT_FALSE(c->max_grad_norm.has_value());
  EXPECT_FALSE(c->trl_compat);
  EXPECT_EQ(c->reference, Reference::kStart);
}

TEST(ParsePpoConfigTest, ReadsBothSpellingsNullsAndIntegersInStrings) {
  const absl::StatusOr<PpoConfig> c = ParsePpoConfig(
      R"({"learningRate": 1e-3, "batch_size": 8, "miniBatchSize": 4, "seed": "7", "score_clip": null,
          "max_grad_norm": 1, "kl_penalty": "full", "reference": "base", "trlCompat": true,
          "lora": {"r": 4, "loraAlpha": 16, "target_modules": ["q"]}, "value_head_file": "x"})");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->learning_rate, 1e-3);
  EXPECT_EQ(c->mini_batch_size, 4);
  EXPECT_EQ(c->seed, 7u);
  EXPECT_FALSE(c->score_clip.has_value());
  EXPECT_EQ(c->max_grad_norm, 1.0);
  EXPECT_EQ(c->kl_penalty, KlPenalty::kFull);
  EXPECT_EQ(c->reference, Reference::kBase);
  EXPECT_TRUE(c->trl_compat);
  ASSERT_TRUE(c->lora.has_value());
  EXPECT_EQ(c->lora->r, 4);
  EXPECT_EQ(c->lora->lora_alpha, 16);
  EXPECT_THAT(c->lora->target_modules, ElementsAre("q"));
}

TEST(ParsePpoConfigTest, NamesWhatIsWrong) {
  EXPECT_THAT(ErrorOf("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("{"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(R"({"learning_rat": 1})"), HasSubstr("\"learning_rat\""));
  EXPECT_THAT(ErrorOf(R"({"lora": {"rank": 1}})"), HasSubstr("lora.rank"));
  EXPECT_THAT(ErrorOf(R"({"learning_rate": "fast"})"), HasSubstr("learning_rate: \"fast\""));
  EXPECT_THAT(ErrorOf(R"({"batch_size": 1.5})"), HasSubstr("batch_size: 1.5"));
  EXPECT_THAT(ErrorOf(R"({"batch_size": 1e30})"), HasSubstr("batch_size"));
  EXPECT_THAT(ErrorOf(R"({"seed": -1})"), HasSubstr("seed: -1"));
  EXPECT_THAT(ErrorOf(R"({"adap_kl_ctrl": 1})"), HasSubstr("adap_kl_ctrl: 1"));
  EXPECT_THAT(ErrorOf(R"({"kl_penalty": "kl2"})"), HasSubstr("kl2"));
  EXPECT_THAT(ErrorOf(R"({"lora": {"target_modules": "q"}})"), HasSubstr("lora.target_modules"));
  EXPECT_THAT(ErrorOf(R"({"gamma": 1, "mini_batch_size": 4, "miniBatchSize": 4})"), HasSubstr("twice"));
}

TEST(PpoConfigTest, ValidateNamesFieldAndValue) {
  EXPECT_THAT(ErrorOf(R"({"learning_rate": 0})"), HasSubstr("learning_rate: 0"));
  EXPECT_THAT(ErrorOf(R"({"lam": 1.5})"), HasSubstr("lam: 1.5"));
  EXPECT_THAT(ErrorOf(R"({"ppo_epochs": 0})"), HasSubstr("ppo_epochs: 0"));
  EXPECT_THAT(ErrorOf(R"({"batch_size": 6, "mini_batch_size": 4})"), HasSubstr("batch_size: 6"));
  EXPECT_THAT(ErrorOf(R"({"lora": {"r": 0}})"), HasSubstr("lora.r: 0"));
  EXPECT_THAT(ErrorOf(R"({"lora": {"r": 2147483647}})"), HasSubstr("lora.r: 2147483647"));
  EXPECT_THAT(ErrorOf(R"({"lora": {"lora_alpha": 1e38}})"), HasSubstr("lora.lora_alpha: 1e+38"));
}

}  // namespace
}  // namespace mellow::rl
