#include "common/train/lora_trainer.h"

#include <cmath>
#include <optional>
#include <string>

#include "common/nn/torch/tensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::train {
namespace {

using ::testing::HasSubstr;

const nn::LoraConfig kLora{.r = 2, .lora_alpha = 4, .target_modules = {"q"}};

absl::StatusOr<AdaptedModel> Load(const std::optional<nn::LoraWeights>& start = {}) {
  return LoadToTrain(mellow::SourceTree("/tests/parity/golden/t5-gated"), kLora, /*seed=*/3, start,
                     {.threads = 1});
}

// With a parameter of the method's own, the gradients of one step there.
class LoraTrainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto adapted = Load();
    ASSERT_TRUE(adapted.ok()) << adapted.status();
    trainer_.emplace(*std::move(adapted), LoraTrainer::NamedTensors{{"own", own_}},
                     nn::AdamWOptions{});
  }
  void Move() {
    for (const nn::AdamW::Parameter& p : trainer_->adam()->parameters())
      p.value.mutable_grad() = at::ones_like(p.value);
    trainer_->Step(0.1, trainer_->adam()->GradientNorm(), 1.0);
  }
  absl::Status Restore(const json::Value& made_with, int64_t* steps) {
    return trainer_->RestoreState(
        folder_.path(), made_with, {{"kept", kept_}},
        [steps](const json::Value& numbers) { return ReadCount(numbers, "steps", steps); });
  }

  const json::Value made_with_ = {{"seed", 3}};
  testing::TempFolder folder_;
  at::Tensor own_ = nn::FloatTensor({1, 2}, at::kCPU);
  at::Tensor kept_ = nn::FloatTensor({5}, at::kCPU);
  std::optional<LoraTrainer> trainer_;
};

TEST_F(LoraTrainerTest, AStateHasEveryParameterItsMomentsAndWhatTheMethodAdds) {
  Move();
  ASSERT_TRUE(
      trainer_->SaveState(folder_.path(), made_with_, {{"steps", 1}}, {{"kept", kept_}}).ok());
  const std::vector<float> own = nn::ToVector(own_);
  EXPECT_LT(own[0], 1);
  Move();
  kept_.fill_(0);
  int64_t steps = 0;
  const absl::Status restored = Restore(made_with_, &steps);
  ASSERT_TRUE(restored.ok()) << restored;
  EXPECT_EQ(steps, 1);
  EXPECT_EQ(nn::ToVector(own_), own);
  EXPECT_EQ(nn::ToVector(kept_), std::vector<float>{5});
}

TEST_F(LoraTrainerTest, AStateThatDoesNotFitIsNamedAndOverwritesNothing) {
  ASSERT_TRUE(trainer_->SaveState(folder_.path(), made_with_, {}, {{"kept", kept_}}).ok());
  Move();
  const std::vector<float> own = nn::ToVector(own_);
  int64_t steps = 0;
  const absl::Status without = Restore(made_with_, &steps);
  EXPECT_TRUE(absl::IsDataLoss(without)) << without;
  EXPECT_THAT(std::string(without.message()), HasSubstr("trainer.json: no count \"steps\""));
  const absl::Status other = Restore({{"seed", 4}}, &steps);
  EXPECT_TRUE(absl::IsFailedPrecondition(other)) << other;
  EXPECT_THAT(std::string(other.message()), HasSubstr("seed is 3, this trainer has 4"));
  EXPECT_EQ(nn::ToVector(own_), own);
}

TEST_F(LoraTrainerTest, GradientsAboveTheNormAreScaledDownAndGoneAfterwards) {
  Move();
  // Adam's moments show what came in: all gradients were equal, together of norm 1.
  const auto count = static_cast<double>(trainer_->parameters());
  for (const nn::AdamW::Parameter& p : trainer_->adam()->parameters()) {
    EXPECT_NEAR(p.m.max().item<double>(), 0.1 / std::sqrt(count), 1e-6) << p.name;
    EXPECT_FALSE(p.value.grad().defined() && p.value.grad().abs().max().item<double>() > 0);
  }
}

TEST(StartingAdapterTest, AnAdapterWithoutModulesIsRefused) {
  const absl::Status status = Load(nn::LoraWeights{}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("has no modules"));
}

}  // namespace
}  // namespace mellow::train
