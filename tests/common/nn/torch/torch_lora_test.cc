#include "common/nn/torch/torch_lora.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/nn/torch/small_t5.h"

namespace mellow::nn {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

TEST(FreshLoraTest, AdaptsExactlyTheTargetsWithPeftsInitialization) {
  const auto model = SmallT5("gated");
  const auto lora =
      FreshLora(*model, {.r = 4, .target_modules = {"v", "EncDecAttention.q"}}, /*seed=*/5);
  ASSERT_TRUE(lora.ok()) << lora.status();
  EXPECT_EQ(lora->modules.size(), 2u + 2 + 2 + 2);  // v: 2 encoder, 2 + 2 decoder layers; q: 2
  EXPECT_FALSE(lora->modules.count("encoder.block.0.layer.0.SelfAttention.q"));
  const double bound = 1 / std::sqrt(20.0);
  for (const auto& [name, pair] : lora->modules) {
    EXPECT_THAT(pair.b.ToFloat32(), Each(0.0f));
    double squares = 0;
    for (const float x : pair.a.ToFloat32()) {
      EXPECT_LE(std::abs(x), bound);
      squares += x * x;
    }
    EXPECT_NEAR(squares / (4 * 20), bound * bound / 3, 0.006) << name;
  }
}

TEST(FreshLoraTest, AModulesNumbersDependOnSeedAndNameOnly) {
  EXPECT_EQ(UniformWeights(1, "q", 5, 1), UniformWeights(1, "q", 5, 1));
  EXPECT_NE(UniformWeights(1, "q", 5, 1), UniformWeights(2, "q", 5, 1));
  EXPECT_NE(UniformWeights(1, "q", 5, 1), UniformWeights(1, "v", 5, 1));
}

TEST(TorchLoraTest, RoundTripsAndNamesAllThatDoesNotFit) {
  const auto model = SmallT5("gated");
  auto lora = *FreshLora(*model, {.r = 2, .target_modules = {"q"}}, 5);
  const auto ours = TorchLora::Create(*model, lora, /*trainable=*/true);
  ASSERT_TRUE(ours.ok()) << ours.status();
  const LoraWeights back = ours->ToHost();
  for (const auto& [name, pair] : lora.modules)
    EXPECT_EQ(back.modules.at(name).a.ToFloat32(), pair.a.ToFloat32());

  lora.modules["decoder.block.7.layer.0.SelfAttention.q"] = lora.modules.begin()->second;
  lora.modules["encoder.block.0.layer.0.SelfAttention.q"].a =
      HostTensor::FromFloat32({1, 2}, {2, 1});
  const absl::Status status = TorchLora::Create(*model, lora, false).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("decoder.block.7"));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("encoder.block.0.layer.0.SelfAttention.q.lora_A is [2, 1]"));
}

TEST(MatchesTargetTest, IsPeftsRule) {
  EXPECT_TRUE(MatchesTarget("encoder.block.0.layer.0.SelfAttention.q", "q"));
  EXPECT_TRUE(MatchesTarget("encoder.block.0.layer.0.SelfAttention.q", "SelfAttention.q"));
  EXPECT_FALSE(MatchesTarget("encoder.block.0.layer.0.SelfAttention.q", "Attention.q"));
}

}  // namespace
}  // namespace mellow::nn
