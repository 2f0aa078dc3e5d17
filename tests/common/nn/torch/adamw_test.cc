#include "common/nn/torch/adamw.h"

#include <cmath>

#include "common/nn/torch/tensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::nn {
namespace {

at::Tensor Leaf(const std::vector<float>& values) { return FloatTensor(values, at::kCPU); }

TEST(AdamWTest, FirstStepMovesByTheLearningRateAgainstTheSign) {
  const at::Tensor x = Leaf({1, 2, 3});
  AdamW adam({{"x", x}}, {});
  x.mutable_grad() = Leaf({5, -1e-3f, 0});
  adam.Step(0.1);
  EXPECT_THAT(ToVector(x), ::testing::Pointwise(::testing::FloatNear(1e-5f), {0.9f, 2.1f, 3.0f}));
}

TEST(AdamWTest, FollowsTheFormulaOverSteps) {
  const at::Tensor x = Leaf({1});
  AdamW adam({{"x", x}}, {});
  double theta = 1, m = 0, v = 0;
  const double gradients[] = {0.3, -1.0, 0.2, 0.0};
  for (int t = 1; t <= 4; ++t) {
    const double g = gradients[t - 1];
    x.mutable_grad() = Leaf({static_cast<float>(g)});
    adam.Step(0.01);
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    theta -= 0.01 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    EXPECT_NEAR(ToVector(x)[0], theta, 1e-6) << t;
  }
}

TEST(AdamWTest, WeightDecayActsOnTheWeightAndNotOnTheMoments) {
  const at::Tensor x = Leaf({2, 2});
  AdamW adam({{"x", x}}, {.weight_decay = 0.1});
  x.mutable_grad() = Leaf({0, 1});
  adam.Step(0.01);
  EXPECT_THAT(ToVector(x),
              ::testing::Pointwise(::testing::FloatNear(1e-6f), {2 * 0.999f, 2 * 0.999f - 0.01f}));
}

TEST(AdamWTest, AnUndefinedGradientIsZeroAndMomentumStillMoves) {
  const at::Tensor x = Leaf({1});
  AdamW adam({{"x", x}}, {});
  x.mutable_grad() = Leaf({1});
  adam.Step(0.1);
  const float before = ToVector(x)[0];
  adam.ZeroGradients();
  adam.Step(0.1);
  EXPECT_LT(ToVector(x)[0], before);
}

TEST(AdamWTest, NormIsGlobalAndScalingScales) {
  const at::Tensor x = Leaf({0}), y = Leaf({0});
  AdamW adam({{"x", x}, {"y", y}}, {});
  EXPECT_EQ(adam.GradientNorm(), 0);
  x.mutable_grad() = Leaf({3});
  y.mutable_grad() = Leaf({4});
  EXPECT_DOUBLE_EQ(adam.GradientNorm(), 5);
  adam.ScaleGradients(0.5);
  EXPECT_DOUBLE_EQ(adam.GradientNorm(), 2.5);
}

}  // namespace
}  // namespace mellow::nn
