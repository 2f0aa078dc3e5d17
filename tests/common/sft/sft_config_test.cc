#include "common/sft/sft_config.h"

#include <cmath>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::sft {
namespace {

TEST(SftConfigTest, EveryFieldIsChecked) {
  SftConfig good;
  good.total_steps = 10;
  EXPECT_TRUE(good.Validate().ok());
  const std::vector<std::pair<std::string, std::function<void(SftConfig*)>>> bad = {
      {"lora.r: 0", [](SftConfig* c) { c->lora.r = 0; }},
      {"lora.lora_alpha: -1", [](SftConfig* c) { c->lora.lora_alpha = -1; }},
      {"lora.lora_alpha: 1e+10", [](SftConfig* c) { c->lora.lora_alpha = 1e10; }},
      {"lora.lora_dropout: 1", [](SftConfig* c) { c->lora.lora_dropout = 1; }},
      {"lora.target_modules", [](SftConfig* c) { c->lora.target_modules.clear(); }},
      {"optimizer.learning_rate: nan", [](SftConfig* c) { c->learning_rate = std::nan(""); }},
      {"optimizer.weight_decay: -1", [](SftConfig* c) { c->weight_decay = -1; }},
      {"optimizer.adam_beta1: 1", [](SftConfig* c) { c->adam_beta1 = 1; }},
      {"optimizer.adam_beta2: 2", [](SftConfig* c) { c->adam_beta2 = 2; }},
      {"optimizer.adam_epsilon: 0", [](SftConfig* c) { c->adam_epsilon = 0; }},
      {"optimizer.max_grad_norm: -1", [](SftConfig* c) { c->max_grad_norm = -1; }},
      {"max_steps: 0", [](SftConfig* c) { c->total_steps = 0; }},
      {"schedule.warmup_steps: 11", [](SftConfig* c) { c->warmup_steps = 11; }},
      {"batch_size: 0", [](SftConfig* c) { c->batch_size = 0; }},
      {"label_smoothing: 1", [](SftConfig* c) { c->label_smoothing = 1; }},
      {"model_dropout: -0.1", [](SftConfig* c) { c->model_dropout = -0.1; }},
  };
  for (const auto& [message, spoil] : bad) {
    SftConfig config = good;
    spoil(&config);
    const absl::Status status = config.Validate();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << message;
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(message));
  }
}

}  // namespace
}  // namespace mellow::sft
