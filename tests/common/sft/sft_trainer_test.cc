#include "common/sft/sft_trainer.h"

#include <cmath>
#include <fstream>

#include "common/adapters/peft.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::sft {
namespace {

using ::testing::HasSubstr;

const std::string kModel = mellow::SourceTree("/tests/parity/golden/ppo/gated");

SftConfig MakeConfig() {
  SftConfig config;
  config.seed = 4;
  config.lora = {.r = 4, .lora_alpha = 8, .lora_dropout = 0.1, .target_modules = {"q", "v", "wo"}};
  config.learning_rate = 0.02;
  config.total_steps = 8;
  config.batch_size = 2;
  config.model_dropout = 0.1;
  return config;
}

std::vector<Pair> MakePairs(int count, int salt = 0) {
  std::vector<Pair> pairs;
  for (int i = 0; i < count; ++i) {
    Pair& pair = pairs.emplace_back();
    for (int t = 0; t < 3 + i % 4; ++t)
      pair.source_ids.push_back(3 + (7 * t + 11 * i + 5 * salt) % 90);
    for (int t = 0; t < 2 + i % 3; ++t) pair.target_ids.push_back(3 + (5 * t + 3 * i + salt) % 90);
    pair.source_ids.push_back(1);
    pair.target_ids.push_back(1);
  }
  return pairs;
}

std::unique_ptr<SftTrainer> MakeTrainer(const SftConfig& config) {
  auto trainer = SftTrainer::Create(kModel, config, std::nullopt, {.threads = 1});
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  return *std::move(trainer);
}

TEST(SftTrainerTest, LearnsAFewPairs) {
  SftConfig config = MakeConfig();
  config.total_steps = 40;
  const auto trainer = MakeTrainer(config);
  const std::vector<Pair> pairs = MakePairs(4);
  const double before = *trainer->Evaluate(pairs);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(trainer->Step(pairs).ok());
  EXPECT_LT(*trainer->Evaluate(pairs), 0.5 * before);
}

TEST(SftTrainerTest, TheCutIntoBatchesChangesNothingButRounding) {
  std::vector<double> losses, norms;
  for (const int batch_size : {1, 2, 3, 6}) {
    SftConfig config = MakeConfig();
    config.batch_size = batch_size;
    const auto trainer = MakeTrainer(config);
    ASSERT_TRUE(trainer->Step(MakePairs(6)).ok());
    const auto result = trainer->Step(MakePairs(6, 1));
    ASSERT_TRUE(result.ok());
    losses.push_back(result->loss);
    norms.push_back(result->gradient_norm);
  }
  // Adam's first step makes weights out of the signs of gradients, some of which are rounding.
  EXPECT_THAT(losses, ::testing::Each(::testing::DoubleNear(losses[0], 1e-3)));
  EXPECT_THAT(norms, ::testing::Each(::testing::DoubleNear(norms[0], 1e-2 * norms[0])));
}

TEST(SftTrainerTest, ARestoredTrainerGoesOnToTheSameBits) {
  const auto whole = MakeTrainer(MakeConfig());
  for (int s = 0; s < 8; ++s) ASSERT_TRUE(whole->Step(MakePairs(4, s)).ok());
  testing::TempFolder folder;
  {
    const auto first = MakeTrainer(MakeConfig());
    for (int s = 0; s < 3; ++s) ASSERT_TRUE(first->Step(MakePairs(4, s)).ok());
    ASSERT_TRUE(first->SaveState(folder.path()).ok());
  }
  const auto second = MakeTrainer(MakeConfig());
  ASSERT_TRUE(second->RestoreState(folder.path()).ok());
  EXPECT_EQ(second->step(), 3);
  for (int s = 3; s < 8; ++s) ASSERT_TRUE(second->Step(MakePairs(4, s)).ok());
  EXPECT_EQ(adapters::ContentHash(second->Adapter()), adapters::ContentHash(whole->Adapter()));
  EXPECT_TRUE(absl::IsFailedPrecondition(second->Step(MakePairs(1)).status()))
      << "all steps are done";
}

TEST(SftTrainerTest, AnotherTrainersStateIsRefused) {
  testing::TempFolder folder;
  const auto trainer = MakeTrainer(MakeConfig());
  ASSERT_TRUE(trainer->SaveState(folder.path()).ok());
  SftConfig other = MakeConfig();
  other.seed = 5;
  const absl::Status refused = MakeTrainer(other)->RestoreState(folder.path());
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("seed"));
  other = MakeConfig();
  other.lora.target_modules = {"q"};
  EXPECT_FALSE(MakeTrainer(other)->RestoreState(folder.path()).ok());
  std::ofstream(folder.path() + "/trainer.json") << "{}";
  EXPECT_TRUE(absl::IsDataLoss(trainer->RestoreState(folder.path())));
}

TEST(SftTrainerTest, BadPairsAreNamed) {
  const auto trainer = MakeTrainer(MakeConfig());
  std::vector<Pair> pairs = MakePairs(3);
  pairs[2].target_ids[0] = 97;
  const absl::Status outside = trainer->Step(pairs).status();
  EXPECT_TRUE(absl::IsInvalidArgument(outside));
  EXPECT_THAT(std::string(outside.message()), HasSubstr("pair 2: target_ids holds id 97"));
  pairs[2].target_ids.clear();
  EXPECT_THAT(std::string(trainer->Evaluate(pairs).status().message()),
              HasSubstr("target_ids is empty"));
  EXPECT_TRUE(absl::IsInvalidArgument(trainer->Step({}).status()));
  EXPECT_EQ(trainer->step(), 0);
}

TEST(SftTrainerTest, ALossThatIsNotFiniteStopsAndLeavesTheWeights) {
  SftConfig config = MakeConfig();
  // T5's norms forgive large numbers, but not infinite ones.
  config.learning_rate = 9e29;
  config.lora.lora_alpha = 1e9;
  const auto trainer = MakeTrainer(config);
  absl::Status status;
  std::string before;
  for (int s = 0; s < 8 && status.ok(); ++s) {
    before = adapters::ContentHash(trainer->Adapter());
    status = trainer->Step(MakePairs(4, s)).status();
  }
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("not finite"));
  EXPECT_EQ(adapters::ContentHash(trainer->Adapter()), before);
}

TEST(SftTrainerTest, GoesOnFromAnAdapter) {
  auto start = adapters::ReadPeftFolder(mellow::SourceTree("/tests/parity/golden/ppo/gated-qv"));
  ASSERT_TRUE(start.ok());
  auto trainer = SftTrainer::Create(kModel, MakeConfig(), *start, {.threads = 1});
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  EXPECT_EQ(adapters::ContentHash((*trainer)->Adapter()), adapters::ContentHash(*start));
  start->modules.clear();
  EXPECT_TRUE(absl::IsInvalidArgument(
      SftTrainer::Create(kModel, MakeConfig(), *start, {.threads = 1}).status()));
}

}  // namespace
}  // namespace mellow::sft
