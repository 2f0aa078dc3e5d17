#include "common/rl/ppo_config.h"

#include <cmath>
#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::function<void(PpoConfig*)>& change) {
  PpoConfig config;
  change(&config);
  EXPECT_EQ(config.Validate().code(), absl::StatusCode::kInvalidArgument);
  return std::string(config.Validate().message());
}

nn::LoraConfig Lora() { return {.r = 4, .lora_alpha = 8, .target_modules = {"q"}}; }

TEST(PpoConfigTest, TrlsDefaultsAreValid) { EXPECT_TRUE(PpoConfig().Validate().ok()); }

TEST(PpoConfigTest, ValidateNamesFieldAndValue) {
  EXPECT_THAT(ErrorOf([](PpoConfig* c) { c->learning_rate = 0; }), HasSubstr("learning_rate: 0"));
  EXPECT_THAT(ErrorOf([](PpoConfig* c) { c->target = std::nan(""); }), HasSubstr("target: nan"));
  EXPECT_THAT(ErrorOf([](PpoConfig* c) { c->gamma = std::nan(""); }), HasSubstr("gamma: nan"));
  EXPECT_THAT(ErrorOf([](PpoConfig* c) { c->lam = 1.5; }), HasSubstr("lam: 1.5"));
  EXPECT_THAT(ErrorOf([](PpoConfig* c) { c->ppo_epochs = 0; }), HasSubstr("ppo_epochs: 0"));
  EXPECT_THAT(ErrorOf([](PpoConfig* c) {
                c->batch_size = 6;
                c->mini_batch_size = 4;
              }),
              HasSubstr("batch_size: 6"));
  const auto lora = [](int r, double alpha) {
    return ErrorOf([=](PpoConfig* c) {
      c->lora = Lora();
      c->lora->r = r;
      c->lora->lora_alpha = alpha;
    });
  };
  EXPECT_THAT(lora(0, 8), HasSubstr("lora.r: 0"));
  EXPECT_THAT(lora(2147483647, 8), HasSubstr("lora.r: 2147483647"));
  EXPECT_THAT(lora(4, 1e38), HasSubstr("lora.lora_alpha: 1e+38"));
}

TEST(PpoConfigTest, NamesOfModesReadBack) {
  for (const KlPenalty mode : {KlPenalty::kKl, KlPenalty::kAbs, KlPenalty::kMse, KlPenalty::kFull})
    EXPECT_EQ(*ParseKlPenalty(KlPenaltyName(mode)), mode);
  for (const Reference reference : {Reference::kStart, Reference::kBase})
    EXPECT_EQ(*ParseReference(ReferenceName(reference)), reference);
  EXPECT_THAT(std::string(ParseKlPenalty("kl2").status().message()), HasSubstr("kl2"));
  EXPECT_THAT(std::string(ParseReference("other").status().message()), HasSubstr("other"));
}

}  // namespace
}  // namespace mellow::rl
